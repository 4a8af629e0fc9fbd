import { pick, type Random, whole } from "../identity/chance.ts";
import { chance } from "./chance.ts";

/** What hardening P-01 to P-07 and the languages behind each slot name: pieces that mean something to somebody. */
const pieces: readonly string[] = [
  [
    "*",
    "**",
    "?",
    "${aws:username}",
    "${*}",
    "${aws:PrincipalTag/team}",
    "$",
    "{",
    "}",
    "{run_id}",
    "{{7*7}}",
    "$(id)",
    "`id`",
  ],
  [
    '"',
    "'",
    '","',
    '"],"Resource":["*',
    '"}],"Statement":[{"Effect":"Allow","Action":"*","Resource":"*',
    "\\",
    '\\"',
    "\\u0022",
  ],
  ["') || true || ('", '") || true || ("', "' || '1'=='1", "\\x27) || true", "'''", '"""', "r'", "b'", "`"],
  [
    "..",
    ".",
    "../",
    "/..",
    "../../sys/auth",
    "%2e%2e",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "..%2f",
    "..;/",
    "/",
    "//",
    "/sys/",
    "%2f",
    "%5c",
    "\\..\\",
  ],
  [
    "&resource=https://vault.azure.net",
    "#",
    "&",
    "=",
    ";",
    "?x=",
    "%26",
    "%23",
    "+",
    "%20",
    "&amp;",
    "@evil.example.com",
    "://",
  ],
  [
    "\r\n",
    "\n",
    "\r",
    "\r\nX-Evil: 1",
    "\0",
    "\u0000x",
    "\t",
    "\v",
    "\u0085",
    "\u2028",
    "\u2029",
    "%0d%0a",
    "%00",
    ",",
    ", ",
    "; q=1",
    ";",
    "=",
  ],
  [" ", "  ", "\u00A0", "\u3000", "\u200B", "\u200D", "\uFEFF", "\u202E", "\u2066", "\u00AD", "\u0301", "\uD800", "\uDC00"],
  [
    "．．",
    "／",
    "＊",
    "：",
    "？",
    "％",
    "＂",
    "＇",
    "⁄",
    "∕",
    "⧸",
    "․",
    "‥",
    "…",
    "а",
    "е",
    "ſ",
    "K",
    "ﬀ",
    "İ",
    "ß",
    "e\u0301",
    "\u1E9E",
  ],
  [
    "-",
    "--",
    "-rf",
    "~",
    "~root",
    ".bashrc",
    ".git",
    "con",
    "nul",
    "aux.txt",
    "x.sh",
    ".",
    "...",
    " .",
    ". ",
    ":",
    "::",
    ":*",
    "arn:aws:s3:::",
  ],
  ["__proto__", "constructor", "toString", "null", "undefined", "true", "NaN", "-1", "0x10", "1e3", "0", "00", ""],
].flat();

const benign = ["519283746", "shop-web", "main", "v1.2.3", "a", "x_y", "0"];

const overlong = [63, 64, 65, 127, 128, 129, 255, 256, 257, 1_023, 1_024, 1_025, 8_192, 65_536];

/** A claim's value made to leave its slot: one of these pieces or a few, alone, at either end or within something harmless. */
export function hostileValue(random: Random): unknown {
  const kind = whole(random, 20);
  if (kind === 0)
    return pick<unknown>(random, [undefined, true, false, [], ["a"], ["a", "b"], {}, { a: 1 }, null, () => "x", Symbol("x")]);
  if (kind === 1)
    return pick(random, [
      0,
      -0,
      -1,
      1.5,
      1e21,
      2 ** 53,
      12_345_678_901_234_567_000,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1e-7,
    ]);
  if (kind === 2) return pick(random, ["a", "é", "*", "/", " "]).repeat(pick(random, overlong));
  if (kind === 3)
    return Array.from({ length: 1 + whole(random, 12) }, () => String.fromCodePoint(whole(random, 0x250))).join("");
  const made = Array.from({ length: 1 + whole(random, 2) }, () => pick(random, pieces)).join(
    chance(random, 0.3) ? pick(random, benign) : "",
  );
  return pick(random, [
    made,
    `${pick(random, benign)}${made}`,
    `${made}${pick(random, benign)}`,
    `${pick(random, benign)}${made}${pick(random, benign)}`,
  ]);
}

export const harmless: readonly string[] = ["519283746", "shop-web", "main", "x_y"];
