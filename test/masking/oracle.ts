import type { Pattern } from "../../src/masking/forms.ts";

interface Range {
  from: number;
  to: number;
}

/**
 * The rule, written as slowly and plainly as it can be: every occurrence of every pattern at every position, the cut
 * characters beside it, the tail at the end; ranges that share a byte are one mask. It sees the whole stream at once.
 */
export function maskedByOracle(stream: Buffer, patterns: readonly Pattern[]): string {
  const ranges = patterns.flatMap((pattern) => [...occurrences(stream, pattern), ...unfinished(stream, pattern)]);
  return shown(stream, merged(ranges));
}

function occurrences(stream: Buffer, { bytes, cutLeft, cutRight }: Pattern): Range[] {
  const found: Range[] = [];
  for (let at = stream.indexOf(bytes); at !== -1; at = stream.indexOf(bytes, at + 1)) {
    let [from, to] = [at, at + bytes.length];
    if (cutLeft && from > 0 && isBase64(stream[from - 1])) from -= 1;
    if (cutRight && isBase64(stream[to])) to += 1;
    if (cutRight) while (stream[to] === "=".charCodeAt(0)) to += 1;
    found.push({ from, to });
  }
  return found;
}

function unfinished(stream: Buffer, { bytes }: Pattern): Range[] {
  const lengths = Array.from(bytes.keys()).filter((length) => length >= 4 && length * 2 > bytes.length);
  return lengths
    .filter((length) => stream.length >= length && stream.subarray(stream.length - length).equals(bytes.subarray(0, length)))
    .map((length) => ({ from: stream.length - length, to: stream.length }));
}

function merged(ranges: readonly Range[]): readonly Range[] {
  const disjoint: Range[] = [];
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = disjoint.at(-1);
    if (last !== undefined && range.from < last.to) last.to = Math.max(last.to, range.to);
    else disjoint.push({ ...range });
  }
  return disjoint;
}

function shown(stream: Buffer, ranges: readonly Range[]): string {
  let [text, at] = ["", 0];
  for (const { from, to } of ranges) {
    text += `${stream.subarray(at, from).toString("latin1")}***`;
    at = to;
  }
  return text + stream.subarray(at).toString("latin1");
}

function isBase64(byte: number | undefined): boolean {
  return byte !== undefined && /[A-Za-z0-9+/_-]/.test(String.fromCharCode(byte));
}
