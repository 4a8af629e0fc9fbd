/** One simple command of a shell's line, its words without their quotes. */
export interface Piece {
  /** `pipe`: it reads what the piece before it wrote. `inside`: what it writes becomes words of the piece before it. */
  readonly joined: "pipe" | "inside" | "next";
  readonly words: readonly string[];
}

/** Stands for what comes after a `)`: more words of a command that has begun. */
export const rest = "\u2026";

const blank = /^[^\S\n]+$/;

/** No two of them begin alike, so that a line is read once, however long it is. */
const tokens = /\\[\s\S]|[$<]\(|\|[|&]?|&&?|[;\n()`'"]|[^\S\n]+|[^\\$<|&;\n()`'"\s]+|[\s\S]/g;

interface Reading {
  readonly pieces: Piece[];
  joined: Piece["joined"];
  words: string[];
  /** Undefined between words. */
  word: string | undefined;
  /** Quotes and parentheses that are open. */
  readonly open: string[];
}

/**
 * What a line for a shell has in it. Not a shell's own grammar: redirections and keywords stay words, which is enough to see which programs it
 * names.
 */
export function piecesOf(line: string): readonly Piece[] {
  const reading: Reading = { pieces: [], joined: "next", words: [], word: undefined, open: [] };
  for (const [token] of line.matchAll(tokens)) take(reading, token);
  endPiece(reading, "next");
  return reading.pieces;
}

function take(reading: Reading, token: string): void {
  const quote = reading.open.at(-1);
  if (quote === "'") return quoted(reading, token, quote);
  if (token === "$(") return inside(reading, "(");
  if (token === "`") return quote === "`" ? outside(reading) : inside(reading, "`");
  if (token.startsWith("\\")) return add(reading, token.slice(1));
  if (quote === '"') return quoted(reading, token, quote);
  takeUnquoted(reading, token);
}

function quoted(reading: Reading, token: string, quote: string): void {
  if (token === quote) reading.open.pop();
  else add(reading, token);
}

function takeUnquoted(reading: Reading, token: string): void {
  if (token === "<(") return inside(reading, "(");
  if (token === "'" || token === '"') {
    reading.open.push(token);
    return add(reading, "");
  }
  if (token === "(") {
    reading.open.push(token);
    return endPiece(reading, "next");
  }
  if (token === ")") return outside(reading);
  if (token === "|" || token === "|&") return endPiece(reading, "pipe");
  if (["||", "&&", "&", ";", "\n"].includes(token)) return endPiece(reading, "next");
  if (blank.test(token)) return endWord(reading);
  add(reading, token);
}

function add(reading: Reading, text: string): void {
  reading.word = (reading.word ?? "") + text;
}

function inside(reading: Reading, by: string): void {
  endPiece(reading, "inside");
  reading.open.push(by);
}

function outside(reading: Reading): void {
  reading.open.pop();
  endPiece(reading, "next");
  reading.words.push(rest);
}

function endWord(reading: Reading): void {
  if (reading.word !== undefined) reading.words.push(reading.word);
  reading.word = undefined;
}

function endPiece(reading: Reading, next: Piece["joined"]): void {
  endWord(reading);
  reading.pieces.push({ joined: reading.joined, words: reading.words });
  reading.words = [];
  reading.joined = next;
}
