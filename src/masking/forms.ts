/**
 * The forms in which tools print a value. Pure: bytes in, patterns out. A row names who prints the form, so that a row without a
 * printer can go; to add one, add a row and its tool's real output to `test/masking/forms.test.ts`.
 */
export interface Pattern {
  readonly bytes: Buffer;
  /** base64 only: the character beside the pattern holds some bits of the value, and is hidden with it. */
  readonly cutLeft: boolean;
  readonly cutRight: boolean;
}

/** A form shorter than this would hide words that are no secret; a value that short is refused (`too-short.ts`). */
export const shortestForm = 8;

interface Form {
  readonly printedBy: string;
  readonly of: (value: Buffer) => readonly (string | Pattern)[];
}

/** Strings stand for their UTF-8 bytes. */
const forms: readonly Form[] = [
  { printedBy: "echo, and any program that prints what it read", of: (value) => [whole(value)] },
  { printedBy: "a terminal, which ends lines with CR LF", of: textual((text) => [text.replaceAll(/\r?\n/g, "\r\n")]) },
  {
    printedBy: "base64, kubectl, Authorization: Basic; JWTs",
    of: (value) => [...base64(value, "base64"), ...base64(value, "base64url")],
  },
  { printedBy: "PowerShell -EncodedCommand", of: textual((text) => base64(Buffer.from(text, "utf16le"), "base64")) },
  {
    printedBy: "Windows tools (UTF-16, either byte order)",
    of: textual((text) => [whole(Buffer.from(text, "utf16le").subarray(0, -1))]),
  },
  { printedBy: "xxd -p of a short value, openssl, Python's repr", of: hex },
  { printedBy: "base64, openssl base64 and xxd -p of a file, which end long lines", of: wrapped },
  { printedBy: "curl, jq @uri, encodeURIComponent, URLSearchParams, Python's quote", of: percent },
  {
    printedBy: "a redirect that carries a URL in a URL",
    of: (value) => percent(value).flatMap((once) => percent(Buffer.from(once))),
  },
  { printedBy: "jq, json.dumps, encoding/json, json_encode, System.Text.Json", of: textual(json) },
  { printedBy: "a JSON log of a JSON text", of: textual((text) => json(text).flatMap(json)) },
  { printedBy: "XML and HTML writers", of: textual(markup) },
  { printedBy: "sh -x, printf %q, docker compose, make", of: textual(shell) },
  { printedBy: "uuidgen, which prints either case, and tools that drop the dashes", of: textual(hexadecimalName) },
  { printedBy: "cat of a key or a document, its lines indented or prefixed", of: textual(lines) },
];

/** Every form of a value, each once, the value itself first. Space around a value is not part of the secret. */
export function formsOf(value: Uint8Array): readonly Pattern[] {
  const trimmed = trim(value);
  const unique = new Map<string, Pattern>();
  for (const found of forms.flatMap((form) => form.of(trimmed))) {
    const pattern = typeof found === "string" ? whole(Buffer.from(found)) : found;
    const key = pattern.bytes.toString("latin1");
    if (pattern.bytes.length >= shortestForm && !unique.has(key)) unique.set(key, pattern);
  }
  return [...unique.values()];
}

const blank = new Set(Buffer.from(" \t\r\n\v\f\0"));

export function trim(value: Uint8Array): Buffer {
  let [from, to] = [0, value.length];
  while (from < to && blank.has(value[from] ?? -1)) from += 1;
  while (to > from && blank.has(value[to - 1] ?? -1)) to -= 1;
  return Buffer.from(value.subarray(from, to));
}

function whole(bytes: Buffer): Pattern {
  return { bytes, cutLeft: false, cutRight: false };
}

/** A form of characters, which a value that is no UTF-8 does not have. */
function textual(of: (text: string) => readonly (string | Pattern)[]): Form["of"] {
  return (value) => {
    const text = value.toString("utf8");
    return Buffer.from(text, "utf8").equals(value) ? of(text) : [];
  };
}

/**
 * A value inside a longer encoded text begins at one of three places in a group of four characters. Characters that mix
 * the value's bits with its neighbours' are cut off here, and hidden by the scanner wherever they stand.
 */
function base64(value: Buffer, alphabet: "base64" | "base64url"): readonly Pattern[] {
  return [0, 1, 2].map((before) => {
    const bits = (before + value.length) * 8;
    const text = Buffer.concat([Buffer.alloc(before), value]).toString(alphabet);
    const from = before === 0 ? 0 : before + 1;
    return { bytes: Buffer.from(text.slice(from, Math.floor(bits / 6))), cutLeft: from > 0, cutRight: bits % 6 !== 0 };
  });
}

/** The widths at which base64(1), openssl and xxd(1) end their lines; a file's first byte is where they begin. */
function wrapped(value: Buffer): readonly Pattern[] {
  const [start] = base64(value, "base64");
  const atWidth = (text: string, width: number): Buffer =>
    Buffer.from(text.replaceAll(new RegExp(`.{${width}}(?=.)`, "g"), "$&\n"));
  const encoded =
    start === undefined ? [] : [76, 64].map((width) => ({ ...start, bytes: atWidth(start.bytes.toString(), width) }));
  return [...encoded, whole(atWidth(value.toString("hex"), 60))];
}

function hex(value: Buffer): readonly string[] {
  const pairs = value.toString("hex").match(/../g) ?? [];
  const lower = [pairs.join(""), pairs.join(":"), pairs.join(" ")];
  const escaped = pairs.map((pair) => `\\x${pair}`).join("");
  return [...lower, ...lower.map((text) => text.toUpperCase()), escaped];
}

/** What each encoder leaves as it is, and what it makes of a space. */
const percentEncoders = [
  { encoder: "encodeURIComponent", safe: /[A-Za-z0-9_.!~*'()-]/, space: "%20" },
  { encoder: "encodeURI", safe: /[A-Za-z0-9_.!~*'();,/?:@&=+$#-]/, space: "%20" },
  { encoder: "jq @uri, curl --data-urlencode, Python's quote(safe='')", safe: /[A-Za-z0-9_.~-]/, space: "%20" },
  { encoder: "Python's quote", safe: /[A-Za-z0-9_.~/-]/, space: "%20" },
  { encoder: "Go's PathEscape", safe: /[A-Za-z0-9_.~$&+=:@-]/, space: "%20" },
  { encoder: "Python's quote_plus, Go's QueryEscape", safe: /[A-Za-z0-9_.~-]/, space: "+" },
  { encoder: "URLSearchParams, HTML forms", safe: /[A-Za-z0-9_.*-]/, space: "+" },
] as const;

function percent(value: Buffer): readonly string[] {
  return percentEncoders.flatMap(({ safe, space }) => {
    const encode = (byte: string, code: string) => (byte === " " ? space : safe.test(byte) ? byte : `%${code}`);
    const characters = value.toString("latin1").split("");
    const code = (byte: string) => byte.charCodeAt(0).toString(16).padStart(2, "0");
    return [
      characters.map((byte) => encode(byte, code(byte).toUpperCase())).join(""),
      characters.map((byte) => encode(byte, code(byte))).join(""),
    ];
  });
}

/** What each encoder writes as `\uXXXX` beyond the control characters. */
const jsonEncoders = [
  { encoder: "JSON.stringify, jq", coded: /(?!)/, slash: "/", upper: false },
  { encoder: "older JavaScript and Java encoders", coded: /(?!)/, slash: "\\/", upper: false },
  { encoder: "json.dumps", coded: /[^\x20-\x7e]/, slash: "/", upper: false },
  { encoder: "json_encode", coded: /[^\x20-\x7f]/, slash: "\\/", upper: false },
  { encoder: "encoding/json", coded: /[<>&\u2028\u2029]/, slash: "/", upper: false },
  { encoder: "System.Text.Json", coded: /["'+<>&`]|[^\x20-\x7e]/, slash: "/", upper: true },
] as const;

const jsonShort: ReadonlyMap<string, string> = new Map(
  Object.entries({ '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" }),
);

function json(text: string): readonly string[] {
  return jsonEncoders.map((encoder) =>
    text
      .split("")
      .map((unit) => jsonUnit(unit, encoder))
      .join(""),
  );
}

/** By UTF-16 units, as JSON escapes characters beyond U+FFFF by their two surrogates. */
function jsonUnit(unit: string, { coded, slash, upper }: (typeof jsonEncoders)[number]): string {
  if (unit === "/") return slash;
  const short = jsonShort.get(unit);
  if (short !== undefined && !(unit === '"' && coded.test(unit))) return short;
  if (unit >= " " && !coded.test(unit)) return unit;
  const code = unit.charCodeAt(0).toString(16).padStart(4, "0");
  return `\\u${upper ? code.toUpperCase() : code}`;
}

function markup(text: string): readonly string[] {
  const element = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const quotes = [
    ['"', "'"],
    ["&quot;", "'"],
    ["&quot;", "&#39;"],
    ["&quot;", "&apos;"],
    ["&quot;", "&#x27;"],
    ["&#34;", "&#39;"],
  ] as const;
  return quotes.map(([double, single]) => element.replaceAll('"', double).replaceAll("'", single));
}

function shell(text: string): readonly string[] {
  return [
    text.replaceAll("'", "'\\''"), // bash -x, Python's shlex.quote is the next
    text.replaceAll("'", `'"'"'`),
    text.replaceAll(/'+/g, (quotes) => `'"${quotes}"'`), // dash -x
    text.replaceAll(/[$`"\\]/g, "\\$&"), // inside double quotes
    text.replaceAll(/[\s'"\\|&;()<>!{}*[\]?^$`,]|^[#~]|(?<=[=:])~/g, "\\$&"), // printf %q
    ansiC(text),
    octal(ansiC(text)), // the same, in the C locale
    text.replaceAll("'", "''"), // SQL, YAML, PowerShell
    text.replaceAll("$", "$$$$"), // make, docker compose
    text.replaceAll('"', '\\"'), // argv in a log
  ];
}

/** What bash writes between `$'` and `'` when a value has control characters. */
function ansiC(text: string): string {
  return text.replaceAll(/[\\']/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t").replaceAll("\r", "\\r");
}

/** What is beyond ASCII, as the C locale sees it. */
function octal(text: string): string {
  const bytes = Buffer.from(text).toString("latin1");
  return bytes.replaceAll(/[\u0080-\u00ff]/g, (byte) => `\\${byte.charCodeAt(0).toString(8)}`);
}

function hexadecimalName(text: string): readonly string[] {
  if (!/^[0-9a-f-]+$/i.test(text)) return [];
  const bare = text.replaceAll("-", "");
  return [text.toUpperCase(), text.toLowerCase(), bare, bare.toUpperCase(), bare.toLowerCase()];
}

/** Each line by itself, since logs indent, number and colour lines; a PEM's first and last say nothing secret. */
function lines(text: string): readonly string[] {
  const all = text.split(/[\r\n]+/);
  return all.length === 1
    ? []
    : all.map((line) => line.trim()).filter((line) => !/^-----(BEGIN|END) [A-Z0-9 ]+-----$/.test(line));
}
