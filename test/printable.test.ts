import { describe, expect, test } from "vitest";
import { printable } from "../src/printable.ts";

describe("words that somebody else chose", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["plain words", "refs/heads/main — «ümläut» 日本 🦋", "refs/heads/main — «ümläut» 日本 🦋"],
    ["a tab", "a\tb", "a\tb"],
    ["a line of its own", "x\n::error file=a::b", "x\\u{a}::error file=a::b"],
    ["a return over what was said", "denied\rgranted", "denied\\u{d}granted"],
    ["an escape", "\u001B[2Jclean", "\\u{1b}[2Jclean"],
    ["an escape of one byte", "\u009B2J", "\\u{9b}2J"],
    ["a bell and a title", "\u001B]0;root\u0007", "\\u{1b}]0;root\\u{7}"],
    ["text that is turned around", "a\u202Eb\u2066c", "a\\u{202e}b\\u{2066}c"],
    ["what cannot be seen", "ma\u200Bin\u{E0041}", "ma\\u{200b}in\\u{e0041}"],
    ["Unicode's own ends of lines", "a\u2028b\u2029c\u0085d", "a\\u{2028}b\\u{2029}c\\u{85}d"],
  ];
  test.each(rows)("%s", (_, text, shown) => {
    expect(printable(text)).toBe(shown);
  });
});
