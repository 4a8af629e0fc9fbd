/*
 * Values that are nearly another one, made mechanically: what a matcher that folds, trims, decodes, normalises or cuts would take for it.
 */

/** Characters that look like the ASCII one, or fold to it. */
const lookalikes: Readonly<Record<string, string>> = {
  a: "а",
  c: "с",
  e: "е",
  i: "і",
  o: "о",
  p: "р",
  s: "ſ",
  k: "K",
  "/": "⁄",
  ":": "：",
  "-": "‐",
  ".": "．",
  "1": "１",
  "5": "５",
  "0": "０",
};

/** Spellings of it that are none of it. */
export function misspellings(text: string): readonly string[] {
  const all = [
    ...cases(text),
    ...edges(text),
    ...places(text).flatMap((at) => oneCharacterOff(text, at)),
    ...encoded(text),
    ...unicode(text),
    ...whole(text),
  ];
  return [...new Set(all)].filter((one) => one !== text);
}

/** Up to a dozen places, over all of its length. */
function places(text: string): readonly number[] {
  const every = Math.max(1, Math.floor(text.length / 12));
  return Array.from({ length: text.length }, (_, at) => at).filter((at) => at % every === 0);
}

function oneCharacterOff(text: string, at: number): readonly string[] {
  const [before, character, after] = [text.slice(0, at), text.charAt(at), text.slice(at + 1)];
  const like = lookalikes[character.toLowerCase()];
  return [
    before + after,
    before + character + character + after,
    `${before}x${after}`,
    `${before}${after.charAt(0)}${character}${after.slice(1)}`,
    before + flipped(character) + after,
    before + percent(character) + after,
    `${before}\u200B${character}${after}`,
    ...(like === undefined ? [] : [before + like + after]),
  ];
}

function cases(text: string): readonly string[] {
  return [text.toUpperCase(), text.toLowerCase(), text.charAt(0).toUpperCase() + text.slice(1), text.toLocaleUpperCase("tr")];
}

function flipped(character: string): string {
  const lower = character.toLowerCase();
  return character === lower ? character.toUpperCase() : lower;
}

const additions = [
  "/",
  "//",
  "/.",
  "/..",
  "/x",
  ":",
  ":x",
  " ",
  "\t",
  "\n",
  "\r\n",
  "\0",
  "%00",
  "%2f",
  "*",
  "?",
  "#",
  ";",
  ",",
  ".",
  "-evil",
  "0",
  "\\",
  "'",
  '"',
  "\u00AD",
  "\u202E",
];

function edges(text: string): readonly string[] {
  const before = ["/", "./", "../", "//", " ", "\n", "\0", "\uFEFF", "x", "0", "-", "*", ":", "x/", "x:", "refs/", "%20", "+"];
  return [
    ...additions.map((added) => text + added),
    ...before.map((added) => added + text),
    `"${text}"`,
    `[${text}]`,
    `{${text}}`,
  ];
}

function percent(character: string): string {
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

function encoded(text: string): readonly string[] {
  const characters = [...text];
  return [
    characters.map(percent).join(""),
    characters.map((character) => percent(percent(character))).join(""),
    characters.map((character) => `&#${character.codePointAt(0)};`).join(""),
    characters.map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`).join(""),
    Buffer.from(text).toString("base64"),
    Buffer.from(text).toString("hex"),
    JSON.stringify(text),
  ];
}

function unicode(text: string): readonly string[] {
  const fullwidth = text.replaceAll(/[!-~]/g, (character) => String.fromCharCode(character.charCodeAt(0) + 0xfee0));
  return [fullwidth, `${text}\u0301`, `\u2066${text}\u2069`, `${text}\uFE0F`, text.split("").join("\u200D")];
}

function whole(text: string): readonly string[] {
  const half = Math.floor(text.length / 2);
  return [
    "",
    " ",
    "*",
    "**",
    "null",
    "undefined",
    "true",
    "0",
    text + text,
    [...text].reverse().join(""),
    text.slice(0, half),
    text.slice(half),
    `${text},${text}`,
    `${text} ${text}`,
    `${text}\n${text}`,
  ];
}
