/** What nobody sees (Unicode, "Default_Ignorable_Code_Point" among it), what is no character at all, and a letter that is drawn as a blank. */
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;
const oddBlank = /(?! )\p{Zs}/u;
const latin = /\p{Script=Latin}/u;
/** Scripts that are written beside Latin letters and look like none of them. */
const foreign =
  /[^\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}]/u;
/** Drawn like `-`, `/` and `:`, which separate what a value is made of. */
const likeSeparator = /(?!-)[\p{Pd}\u2212\u2044\u2215\u29f8\u02d0\u02f8\u05c3\u2236\ua789]/u;

/** `name`: matched or compared as a whole. `argument`: a program's own. `prose`: for people. */
export type TextUse = "name" | "argument" | "prose";

/** Why what is read may not be what is there; undefined where both are the same. Linear. */
export function oddity(text: string, use: TextUse): string | undefined {
  if (use === "name" && /^\s|\s$/.test(text)) return "a blank at an end of";
  if (!/[^ -~]/.test(text)) return undefined;
  const shown = use === "name" ? text : text.replaceAll(/[\t\r\n]/g, " ");
  const hidden = unseen.exec(shown)?.[0];
  if (hidden !== undefined) return `the invisible ${codePoint(hidden)} in`;
  return use === "prose" ? undefined : lookalike(shown);
}

function lookalike(text: string): string | undefined {
  const strange = (oddBlank.exec(text) ?? likeSeparator.exec(text))?.[0];
  if (strange !== undefined) return `${codePoint(strange)}, which looks like another character, in`;
  if (text.normalize("NFKC") !== text) return "characters that are another spelling of others (Unicode's NFKC) in";
  return latin.test(text) && foreign.test(text) ? "letters of two alphabets in" : undefined;
}

function codePoint(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
