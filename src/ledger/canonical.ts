import { BrokerError } from "../errors.ts";

/** Deeper data is no entry of ours, and would only test the stack. */
const deepest = 32;

/**
 * JSON in one spelling (after RFC 8785): members sorted by UTF-16 code units, no white space, strings as ECMAScript writes
 * them. Numbers are safe integers only: every other kind is written differently somewhere. An undefined member is absent, as in
 * JSON; anything else that JSON cannot say is refused. A lone surrogate stays an escape, so that hostile text can be recorded.
 */
export function canonical(value: unknown, depth = 0): string {
  if (depth > deepest) throw unsayable("data nested too deeply");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return integer(value);
  if (Array.isArray(value)) return `[${value.map((item: unknown) => canonical(item, depth + 1)).join(",")}]`;
  if (isPlain(value)) return `{${members(value, depth).join(",")}}`;
  throw unsayable(`a ${typeof value}`);
}

function members(value: object, depth: number): readonly string[] {
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member, depth + 1)}`);
}

function integer(value: number): string {
  if (!Number.isSafeInteger(value)) throw unsayable("a number that is not a safe integer");
  return String(value);
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const unsayable = (what: string): BrokerError => new BrokerError("internal", undefined, { detail: `an entry holds ${what}` });
