/*
 * What a filled text means to whoever takes it apart in the end: written from the sources that are named, and sharing nothing with the
 * slots themselves. A shape is the text's parts in plain data; a text that cannot be taken apart has none.
 */

export type Shape = readonly unknown[];

/** Throws where nobody would take such a text. */
export type TakeApart = (text: string) => Shape;

/** As often as anybody between here and the upstream might. */
function decoded(text: string): string {
  let [before, after] = ["", text];
  for (let times = 0; times < 4 && before !== after; times++) {
    before = after;
    after = after.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  return after;
}

function refuse(bad: boolean, why: string): void {
  if (bad) throw new Error(why);
}

const control = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

/** Segments as Vault's HTTP router and a URL parser (WHATWG, "path state") both see them. */
export function pathSegments(text: string): Shape {
  const plain = decoded(text).replaceAll("\\", "/");
  refuse(control.test(plain), "a control character");
  const resolved = decodeURI(new URL(`http://upstream.example.com/v1/${plain}`).pathname);
  const segments = plain.split("/");
  refuse(
    segments.some((segment) => segment === "" || segment === "." || segment === ".." || segment !== segment.trim()),
    "a segment that is none",
  );
  refuse(resolved !== `/v1/${plain}`, "a path that is resolved to another");
  return segments;
}

/** `arn:partition:service:region:account:resource`, the resource by its `/` and `:`; wildcards are parts of their own. */
export function arnParts(text: string): Shape {
  refuse(control.test(text), "a control character");
  const [arn, partition, service, region, account, ...resource] = text.split(":");
  return [
    [arn, partition, service, region, account].map((part) => iamTokens(part ?? "")),
    resource.map((part) => part.split("/").map(iamTokens)),
  ];
}

/** IAM's own reading: `*` and `?` are wildcards, `${…}` a variable (IAM user guide, "Policy elements: variables and tags"). */
function iamTokens(text: string): Shape {
  return text.split(/(\*|\?|\$\{[^}]*\}?)/).map((token, nth) => (nth % 2 === 1 ? { means: token } : token));
}

/** A session policy whose resource was put in as text: read back as JSON, statement by statement. */
export function sessionPolicy(resource: string): Shape {
  const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["${resource}"]}]}`;
  const policy = JSON.parse(text) as { readonly Statement: readonly { readonly Resource: readonly string[] }[] };
  return [
    Object.keys(policy),
    policy.Statement.map((statement) => [
      Object.entries(statement).filter(([key]) => key !== "Resource"),
      statement.Resource.map(arnParts),
    ]),
  ];
}

/** Whether this resource of a policy allows that one: `*` is any run of characters, `/` and `:` among them, `?` is any one. */
export function iamAllows(resource: string, asked: string): boolean {
  const pieces = [...resource].map((character) =>
    character === "*" ? "[\\s\\S]*" : character === "?" ? "[\\s\\S]" : character.replace(/[\\^$.+()[\]{}|/-]/, String.raw`\$&`),
  );
  // What a variable comes to nobody here knows, so it may be anything.
  const variables = pieces.join("").replaceAll(/\\\$\\\{[\s\S]*?\\\}/g, "[\\s\\S]*");
  return new RegExp(`^${variables}$`).test(asked);
}

/** The tokens of `resource.name.startsWith('…')` in CEL (language definition, "Syntax"), with either quote. */
export function celTokens(literal: string): Shape {
  return ["'", '"'].map((quote) =>
    tokensOf(`resource.name.startsWith(${quote}${literal}${quote}) && request.time < timestamp("2027")`),
  );
}

function tokensOf(source: string): Shape {
  const token =
    /\s+|[A-Za-z_]\w*|"(?:[^"\\\r\n]|\\[abfnrtv"'`?\\]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4})*"|'(?:[^'\\\r\n]|\\[abfnrtv"'`?\\]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4})*'|&&|\|\||[<>=!]=?|[()[\].,+\-*/%?:]|\d+/iy;
  const tokens: string[] = [];
  while (token.lastIndex < source.length) {
    const [found] = token.exec(source) ?? [];
    if (found === undefined) throw new Error("no CEL");
    if (/^['"]/.test(found)) refuse(/[\\]/.test(found) || control.test(found), "an escape");
    tokens.push(found);
  }
  return tokens;
}

/** AWS STS, AssumeRole: 2 to 64 characters of `[\w+=,.@-]`; here a comma stands between what is joined. */
export function sessionName(text: string): Shape {
  refuse(!/^[\w+=,.@-]{2,64}$/.test(text), "no session name");
  return text.split(",");
}

/** AWS STS, Tag: at most 256 characters, letters of any script, blanks and a few signs. */
export function tagValue(text: string): Shape {
  refuse(text.length > 256 || !/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(text) || control.test(text), "no tag value");
  return text.split(/\p{Z}/u);
}

/** One name in one folder, in the same folder for every system that may come to write it, with the extension that was meant. */
export function fileName(text: string): Shape {
  const plain = decoded(text.normalize("NFKC"));
  refuse(/[/\\:]/.test(plain) || control.test(plain), "a path");
  refuse(/^[-~.]/.test(plain) || /[. ]$/.test(plain) || Buffer.byteLength(plain) > 255, "no plain name");
  return plain.split(".");
}

/** A field as a recipient reads it (RFC 9110 sections 5.5 and 5.6): lines, members, parameters, words. */
export function fieldValue(text: string): Shape {
  const lines = `x-about: ${text}`.split(/\r\n|\r|\n/);
  refuse(/[\0\p{Cc}]/u.test(text.replaceAll(/[\r\n]/g, "")), "a control character");
  return lines.map((line) =>
    split(line, ",").map((member) => split(member, ";").map((parameter) => parameter.trim().split(/[ \t]+/))),
  );
}

/** Not within a quoted string. */
function split(text: string, separator: string): readonly string[] {
  const parts = [""];
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) parts.push("");
    else parts[parts.length - 1] += character;
  }
  refuse(quoted, "an open quote");
  return parts;
}

/** Names and values after `?`, by a URL parser that knows nothing of the template. */
export function queryPairs(text: string): Shape {
  const url = new URL(`https://upstream.example.com/token?grant=job&${text}`);
  return [url.host, url.pathname, url.hash, [...url.searchParams]];
}

/** A label that is compared as a whole. */
export function label(text: string): Shape {
  refuse(control.test(text) || text !== text.normalize("NFKC") || text !== text.trim(), "a label that is read as another");
  return text.split(/[/:]/);
}
