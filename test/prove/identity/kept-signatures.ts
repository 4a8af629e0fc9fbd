import { createHmac } from "node:crypto";
import { keys, signedBy } from "../../identity/bad-tokens/makers.ts";
import { part } from "../../identity/issuer.ts";
import { bytes, pick, type Random, whole } from "./chance.ts";
import { anything, type Draft, escaped, type Operator } from "./operator.ts";

type Segments = [header: string, payload: string, signature: string];

function segmentsOf(token: string): Segments {
  const [header = "", payload = "", signature = ""] = token.split(".");
  return [header, payload, signature];
}

const decoded = (segment: string): Buffer => Buffer.from(segment, "base64url");
const spelled = (content: Uint8Array | string): string => Buffer.from(content).toString("base64url");

/** Changes one segment of the token, the rest kept. */
function onSegment(which: 0 | 1 | 2, change: (segment: string, draft: Draft, random: Random) => string): Operator {
  return (draft, random) => {
    const segments = segmentsOf(draft.token);
    segments[which] = change(segments[which], draft, random);
    return segments.join(".");
  };
}

const onBytes = (which: 0 | 1 | 2, change: (content: Buffer, random: Random) => Uint8Array): Operator =>
  onSegment(which, (segment, _, random) => spelled(change(decoded(segment), random)));

const onJson = (which: 0 | 1, change: (text: string, random: Random) => string): Operator =>
  onSegment(which, (segment, _, random) => spelled(change(decoded(segment).toString(), random)));

const onMembers = (
  which: 0 | 1,
  change: (members: [string, unknown][], random: Random) => readonly (readonly [string, unknown])[],
): Operator =>
  onJson(which, (text, random) =>
    JSON.stringify(Object.fromEntries(change(Object.entries(JSON.parse(text) as object), random))),
  );

const onText =
  (change: (text: string, random: Random) => string): Operator =>
  (draft, random) =>
    change(draft.token, random);

const flipped = (content: Buffer, random: Random): Buffer => {
  const copy = Buffer.from(content);
  const place = whole(random, copy.length);
  copy[place] = (copy[place] ?? 0) ^ (1 << whole(random, 8));
  return copy;
};

const characters = Array.from("ABCXYZabcxyz0189-_.=+/ \n\t\r\0%é");
const between = (text: string, put: string, random: Random): string => {
  const place = whole(random, text.length + 1);
  return text.slice(0, place) + put + text.slice(place);
};

/** Replaces the `nth` match of a pattern. */
function atMatch(text: string, pattern: RegExp, random: Random, change: (found: string) => string): string {
  const found = [...text.matchAll(pattern)];
  if (found.length === 0) return text;
  const match = pick(random, found);
  return text.slice(0, match.index) + change(match[0]) + text.slice(match.index + match[0].length);
}

/** The signature stays what it was, or is nobody's. */
export const keptSignatures: Readonly<Record<string, Operator>> = {
  "a bit of the header": onBytes(0, flipped),
  "a bit of the claims": onBytes(1, flipped),
  "a bit of the signature": onBytes(2, flipped),
  "the signature cut": onBytes(2, (content, random) => content.subarray(0, whole(random, content.length))),
  "the signature made longer": onBytes(2, (content, random) => Buffer.concat([content, bytes(random, 1 + whole(random, 4))])),
  "a byte before the signature": onBytes(2, (content) => Buffer.concat([Buffer.of(0), content])),
  "a signature of one byte, repeated": onBytes(2, (content, random) => Buffer.alloc(content.length, whole(random, 256))),
  "a random signature": onBytes(2, (content, random) => bytes(random, content.length)),
  "the signature's halves exchanged": onBytes(2, (content) =>
    Buffer.concat([content.subarray(content.length / 2), content.subarray(0, content.length / 2)]),
  ),
  "another token's signature": ({ token, other }) => [...segmentsOf(token).slice(0, 2), segmentsOf(other)[2]].join("."),
  "another token's claims": ({ token, other }) => {
    const [header, , signature] = segmentsOf(token);
    return [header, segmentsOf(other)[1], signature].join(".");
  },
  "another token's header": ({ token, other }) => [segmentsOf(other)[0], ...segmentsOf(token).slice(1)].join("."),
  "a segment left out": onText((text, random) => text.split(".").toSpliced(whole(random, 3), 1).join(".")),
  "a segment twice": onText((text, random) => {
    const segments = text.split(".");
    return segments.toSpliced(whole(random, 4), 0, pick(random, segments)).join(".");
  }),
  "an empty segment": onText((text, random) => text.split(".").toSpliced(whole(random, 3), 1, "").join(".")),
  "segments exchanged": onText((text, random) => {
    const [header, payload, signature] = segmentsOf(text);
    return pick(random, [
      [payload, header, signature],
      [header, signature, payload],
      [signature, payload, header],
    ]).join(".");
  }),
  "a character between": onText((text, random) => between(text, pick(random, characters), random)),
  "a character in another's place": onText((text, random) => {
    const place = whole(random, text.length);
    return text.slice(0, place) + pick(random, characters) + text.slice(place + 1);
  }),
  "a range left out": onText((text, random) => {
    const place = whole(random, text.length);
    return text.slice(0, place) + text.slice(place + 1 + whole(random, 40));
  }),
  "a range repeated": onText((text, random) => {
    const place = whole(random, text.length);
    return text.slice(0, place + 1 + whole(random, 40)) + text.slice(place);
  }),
  "letters in the other case": onText((text, random) => {
    const place = whole(random, text.length);
    return text.slice(0, place) + text.slice(place, place + 12).replace(/[a-z]/gi, swapCase) + text.slice(place + 12);
  }),
  padding: onText((text, random) =>
    pick(random, [`${text}=`, `${text}==`, text.replaceAll(".", "=."), text.replace(".", "==.")]),
  ),
  "the other alphabet": onText((text, random) => atMatch(text, /[-_]/g, random, (found) => (found === "-" ? "+" : "/"))),
  "percent signs": onText((text, random) => atMatch(text, /[-_.]/g, random, (found) => `%${found.charCodeAt(0).toString(16)}`)),
  "spare bits of a last character": onText((text, random) =>
    atMatch(text, /[A-Za-z0-9_-](?=\.|$)/g, random, (found) =>
      pick(
        random,
        characters.filter((other) => other !== found),
      ),
    ),
  ),
  "base64 of base64": onSegment(1, (segment) => spelled(segment)),
  hexadecimal: onSegment(1, (segment) => decoded(segment).toString("hex")),
  "blanks in the JSON": onJson(1, (text, random) =>
    atMatch(text, /[,:{}]/g, random, (found) => `${found}${pick(random, [" ", "\n", "\t"])}`),
  ),
  "members in another order": onMembers(1, (members, random) => members.toSorted(() => random() - 0.5)),
  "a name spelled with an escape": onJson(1, (text, random) => atMatch(text, /(?<=[{,]")[a-z]/g, random, escaped)),
  "a value spelled with an escape": onJson(1, (text, random) => atMatch(text, /(?<=:")[A-Za-z0-9]/g, random, escaped)),
  "a number spelled otherwise": onJson(1, (text, random) =>
    atMatch(text, /(?<=:)[0-9]+/g, random, (found) =>
      pick(random, [`${found}.0`, `${found}e0`, `-${found}`, `0${found}`, `"${found}"`]),
    ),
  ),
  "a claim of another value": onMembers(1, (members, random) => {
    const which = whole(random, members.length);
    return members.map(([name, value], nth) => [name, nth === which ? anything(random) : value] as const);
  }),
  "a claim added": onMembers(1, (members, random) => [
    ...members,
    [pick(random, ["admin", "ref_protected", "act", "x"]), anything(random)],
  ]),
  "a claim left out": onMembers(1, (members, random) => members.toSpliced(whole(random, members.length), 1)),
  "a header member of another value": onMembers(0, (members, random) => {
    const which = whole(random, members.length);
    return members.map(([name, value], nth) => [name, nth === which ? anything(random) : value] as const);
  }),
  "a header member added": onMembers(0, (members, random) => [
    ...members,
    [pick(random, ["jku", "jwk", "x5c", "crit", "b64", "zip", "cty"]), anything(random)],
  ]),
  "alg none": ({ token, source }, random) => {
    const [, payload, signature] = segmentsOf(token);
    return `${part({ ...source.header, alg: pick(random, ["none", "None", "NONE", "nOnE"]) })}.${payload}.${pick(random, ["", signature])}`;
  },
  "an HMAC keyed with the public key": ({ token, source }, random) => {
    const alg = pick(random, ["HS256", "HS384", "HS512"]);
    const input = `${part({ ...source.header, alg })}.${segmentsOf(token)[1]}`;
    const secret = pick(random, [JSON.stringify(source.key.jwk), String(source.key.jwk["n"] ?? source.key.jwk["x"]), ""]);
    return `${input}.${createHmac(alg.replace("HS", "sha"), secret).update(input).digest("base64url")}`;
  },
  "signed by somebody else": ({ source }, random) =>
    signedBy(
      { alg: "RS256", privateKey: keys.attacker.privateKey },
      { ...source.header, alg: pick(random, ["RS256", source.key.alg]) },
      source.claims(),
    ),
};

function swapCase(letter: string): string {
  return letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
}
