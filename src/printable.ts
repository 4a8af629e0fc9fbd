/** What moves a terminal's cursor, turns or hides text, or ends a line: controls but for the tab, formats, separators of lines and paragraphs. */
const unprintable = /(?!\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Words that somebody else chose, for one line of text: `\u{1b}` stands for what would act on a terminal, or look like a line of our own. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, escaped);
}

export function escaped(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
