import type { Claim } from "../identity/identity.ts";

/**
 * What one value of a `who` line accepts. A glob is for the whole value; its `*` stays within one segment (values are split
 * at `/` and `:`), and only a last `**`, after such a separator, crosses. Nobody can write a regular expression.
 */
export type Pattern =
  | { readonly kind: "literal"; readonly value: string | boolean }
  | { readonly kind: "glob"; readonly glob: Glob };

interface Glob {
  /** What the value has between separators, each split at its `*`. */
  readonly segments: readonly (readonly string[])[];
  /** What ends each of them: one character for every segment but the last. */
  readonly separators: string;
  /** Ends in `**`: the last segment is the rest of the value, whatever it is. */
  readonly open: boolean;
}

/** Beyond it, V8's own search in a string is no longer linear (it prepares 250 characters of what it looks for). */
const longestGlob = 256;

const longestValue = 1_024;

export type PatternRead =
  | { readonly kind: "pattern"; readonly pattern: Pattern }
  | { readonly kind: "flaw"; readonly message: string };

export function readPattern(value: unknown): PatternRead {
  if (typeof value === "boolean") return { kind: "pattern", pattern: { kind: "literal", value } };
  if (typeof value === "number") return flaw("a number: ids are quoted strings, so that no digit of them is lost");
  if (typeof value !== "string") return flaw("not a value: write a string, true, false, or a list of them");
  if (value.length > longestValue) return flaw(`longer than ${longestValue} characters, which is the most`);
  if (!value.includes("*")) return { kind: "pattern", pattern: { kind: "literal", value } };
  const open = /(?:^|[/:])\*\*$/.test(value);
  const head = open ? value.slice(0, -2) : value;
  if (head.includes("**")) return flaw("'**' can only stand at the end, after '/' or ':'");
  if (value.length > longestGlob) return flaw(`longer than ${longestGlob} characters, which is too long for one with a '*'`);
  const segments = head.split(/[/:]/).map((segment) => segment.split("*"));
  return { kind: "pattern", pattern: { kind: "glob", glob: { segments, separators: head.replace(/[^/:]/g, ""), open } } };
}

function flaw(message: string): PatternRead {
  return { kind: "flaw", message };
}

/** Whether it names anything at all: `*` and `**` alone say only that the claim is there. */
export function isBinding(pattern: Pattern): boolean {
  if (pattern.kind === "literal") return true;
  return pattern.glob.segments.some((pieces) => pieces.some((piece) => piece !== ""));
}

/**
 * Whether only one owner can have such a value. It stands there in full, or, where `below` says what an issuer hands out by path, begins
 * with that and two whole segments more: `spiffe://example.org/ns/ci/**`.
 */
export function names(pattern: Pattern, below: string | undefined): boolean {
  if (pattern.kind === "literal") return true;
  if (below === undefined) return false;
  const text = literalStart(pattern.glob);
  return text.startsWith(below) && /^[^/]+\/[^/]+\//.test(text.slice(below.length));
}

/** What every value that it accepts begins with. */
function literalStart({ segments, separators }: Glob): string {
  const first = segments.findIndex((pieces) => pieces.length > 1);
  const whole = first < 0 ? segments : segments.slice(0, first + 1);
  return whole.map(([start = "", ...more], index) => start + (more.length > 0 ? "" : (separators[index] ?? ""))).join("");
}

/** Linear in the value's length. A number is compared by its digits; `true` and "true" are different values. */
export function accepts(pattern: Pattern, value: Exclude<Claim, readonly string[]>): boolean {
  const text = typeof value === "number" ? String(value) : value;
  if (pattern.kind === "literal") return text === pattern.value;
  return typeof text === "string" && globAccepts(pattern.glob, text);
}

/** Segment by segment, without ever holding more of the value than one. */
function globAccepts({ segments, separators, open }: Glob, text: string): boolean {
  let begin = 0;
  for (const [index, pieces] of segments.entries()) {
    const last = index === segments.length - 1;
    if (last && open) return true;
    const end = endOfSegment(text, begin);
    const ended = last ? end === text.length : text[end] === separators[index];
    if (!ended || !segmentAccepts(pieces, text.slice(begin, end))) return false;
    begin = end + 1;
  }
  return true;
}

function endOfSegment(text: string, begin: number): number {
  for (let at = begin; at < text.length; at += 1) if (text[at] === "/" || text[at] === ":") return at;
  return text.length;
}

/** The pieces between the `*` come in order: the first at the start, the last at the end, the others as early as they can. */
function segmentAccepts(pieces: readonly string[], segment: string): boolean {
  const [first = "", ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return segment === first;
  if (segment.length < first.length + last.length || !segment.startsWith(first) || !segment.endsWith(last)) return false;
  const end = segment.length - last.length;
  let at = first.length;
  for (const piece of rest) {
    const found = segment.indexOf(piece, at);
    if (found < 0 || found + piece.length > end) return false;
    at = found + piece.length;
  }
  return true;
}
