import { z } from "zod";
import { BrokerError } from "../errors.ts";

/**
 * A slot is `{claim}` inside a template's text. It is typed by where it stands: what a claim's value may contain there without
 * widening what the template grants is the kind's own character class, and a value that does not fit is denied, never
 * escaped by guess and never cut short (hardening P-01 to P-05: truncation merges identities).
 */
export const slotKinds = {
  /** One segment of a path, such as Vault's: no slash, and neither `.` nor `..`. */
  "path-segment": /^(?!\.{1,2}$)[A-Za-z0-9_.@=+-]{1,128}$/,
  /** A label in a name that is shown or matched as a whole. */
  name: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/,
} as const;

export type SlotKind = keyof typeof slotKinds;

const slotSpelling = /\{([A-Za-z_][A-Za-z0-9_.]*)\}/;

/** A template's text with its slots found; becomes a string when a decision fills it. */
export class Slotted {
  readonly kind: SlotKind;
  /** Text and slot by turns, text first: `secret/{project_id}/x` is `["secret/", "project_id", "/x"]`. */
  readonly #parts: readonly string[];

  constructor(kind: SlotKind, text: string) {
    this.kind = kind;
    this.#parts = text.split(slotSpelling);
  }

  /** The claims that its slots name. */
  get slots(): readonly string[] {
    return this.#parts.filter((_, index) => index % 2 === 1);
  }

  /**
   * Whether two slots stand so close that different claims could fill them to the same text: `{a}-{b}` makes one of `x`, `y-z`
   * and of `x-y`, `z` (hardening P-06). What is between them must hold a character that no value may.
   */
  get merges(): boolean {
    const between = this.#parts.filter((_, index) => index % 2 === 0).slice(1, -1);
    return between.some((text) => text.split("").every((character) => slotKinds[this.kind].test(`a${character}`)));
  }

  /** Throws `slot-unfillable`, which names the claim and never the value that would have done harm elsewhere. */
  fill(claims: Readonly<Record<string, unknown>>): string {
    return this.#parts.map((part, index) => (index % 2 === 0 ? part : this.#value(part, claims))).join("");
  }

  #value(claim: string, claims: Readonly<Record<string, unknown>>): string {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    const text = typeof value === "number" ? String(value) : value;
    if (typeof text !== "string" || !slotKinds[this.kind].test(text)) {
      throw new BrokerError("slot-unfillable", `the claim ${claim} cannot fill its slot, which takes a ${this.kind}`);
    }
    return text;
  }
}

/** How a provider's schema says that slots may stand in a text, and of which kind they are there. */
export function slot(kind: SlotKind): z.ZodType<Slotted> {
  return z
    .string()
    .min(1)
    .refine(
      (text) => !/[{}]/.test(text.replaceAll(new RegExp(slotSpelling, "g"), "")),
      "a slot is written {claim}; other braces cannot stand here",
    )
    .transform((text) => new Slotted(kind, text))
    .refine((text) => !text.merges, "two slots need a character between them that neither can contain, such as '/' or ':'")
    .refine(
      (text) => !text.slots.some((name) => name.startsWith("each.")),
      "{each.…} needs for_each, which this version does not know yet",
    );
}

/** A template's options once its slots are filled: what a provider is handed. */
export type Filled<T> = T extends Slotted ? string : T extends object ? { readonly [K in keyof T]: Filled<T[K]> } : T;

/** Fills every slot at any depth. */
export function fill<T>(options: T, claims: Readonly<Record<string, unknown>>): Filled<T>;
export function fill(options: unknown, claims: Readonly<Record<string, unknown>>): unknown {
  if (options instanceof Slotted) return options.fill(claims);
  if (Array.isArray(options)) return options.map((item: unknown) => fill(item, claims));
  if (typeof options !== "object" || options === null) return options;
  return Object.fromEntries(Object.entries(options).map(([key, value]: [string, unknown]) => [key, fill(value, claims)]));
}

/** The claims that any slot of these options names, at any depth. */
export function slotsOf(options: unknown): readonly string[] {
  if (options instanceof Slotted) return options.slots;
  return typeof options === "object" && options !== null ? Object.values(options).flatMap(slotsOf) : [];
}
