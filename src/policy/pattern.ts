import type { Claim } from "../identity/identity.ts";

/**
 * What one value of a `who` line accepts. A glob is for the whole value; its `*` stays within one segment (values are split
 * at `/` and `:`), and only a last `**`, after such a separator, crosses. Nobody can write a regular expression.
 */
export type Pattern =
  | { readonly kind: "literal"; readonly value: string | boolean }
  | { readonly kind: "glob"; readonly glob: Glob };

interface Glob {
  /** Segments and separators by turns; each segment split at its `*`. */
  readonly head: readonly (readonly string[])[];
  readonly open: boolean;
}

export type PatternRead =
  | { readonly kind: "pattern"; readonly pattern: Pattern }
  | { readonly kind: "flaw"; readonly message: string };

export function readPattern(value: unknown): PatternRead {
  if (typeof value === "boolean") return { kind: "pattern", pattern: { kind: "literal", value } };
  if (typeof value === "number") return flaw("a number: ids are quoted strings, so that no digit of them is lost");
  if (typeof value !== "string") return flaw("not a value: write a string, true, false, or a list of them");
  if (!value.includes("*")) return { kind: "pattern", pattern: { kind: "literal", value } };
  const open = /(?:^|[/:])\*\*$/.test(value);
  const head = open ? value.slice(0, -2) : value;
  if (head.includes("**")) return flaw("'**' can only stand at the end, after '/' or ':'");
  return { kind: "pattern", pattern: { kind: "glob", glob: { head: split(head).map((token) => token.split("*")), open } } };
}

function flaw(message: string): PatternRead {
  return { kind: "flaw", message };
}

/** Whether it names anything at all: `*` and `**` alone say only that the claim is there. */
export function isBinding(pattern: Pattern): boolean {
  if (pattern.kind === "literal") return true;
  return pattern.glob.head.some((token) => /[^/:]/.test(token.join("")));
}

/**
 * Whether only one owner can have such a value. It stands there in full, or, where `below` says what an issuer hands out by path, begins
 * with that and two whole segments more: `spiffe://example.org/ns/ci/**`.
 */
export function names(pattern: Pattern, below: string | undefined): boolean {
  if (pattern.kind === "literal") return true;
  if (below === undefined) return false;
  const { head } = pattern.glob;
  const first = head.findIndex((pieces) => pieces.length > 1);
  const text = head.slice(0, first < 0 ? undefined : first).join("");
  return text.startsWith(below) && /^[^/]+\/[^/]+\//.test(text.slice(below.length));
}

/** Linear in the value's length. A number is compared by its digits; `true` and "true" are different values. */
export function accepts(pattern: Pattern, value: Exclude<Claim, readonly string[]>): boolean {
  const text = typeof value === "number" ? String(value) : value;
  if (pattern.kind === "literal") return text === pattern.value;
  return typeof text === "string" && globAccepts(pattern.glob, split(text));
}

function globAccepts({ head, open }: Glob, tokens: readonly string[]): boolean {
  // What is left of an open glob's head ends in a separator and an empty segment, where the rest of the value begins.
  const pinned = open ? head.slice(0, -1) : head;
  if (!open && tokens.length !== pinned.length) return false;
  return pinned.every((pieces, index) => segmentAccepts(pieces, tokens[index] ?? ""));
}

function split(text: string): readonly string[] {
  return text.split(/([/:])/);
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
