import { z } from "zod";
import { BrokerError } from "../errors.ts";

/**
 * A slot is `{claim}` inside a template's text. It is typed by where it stands: what a claim's value may contain there without
 * widening what the template grants is the kind's own character class, and a value that does not fit is denied, never
 * escaped by guess and never cut short (hardening P-01 to P-05: truncation merges identities).
 */
interface Kind {
  /** One claim's value, all of it. */
  readonly value: RegExp;
  /** The text once every slot is filled, where it has rules of its own; it holds for text without slots too. */
  readonly whole?: RegExp;
  /** What can stand between two slots: what the text may hold and no value can. */
  readonly between: string;
}

/** What has no meaning in any of these languages: no wildcard, quote, brace, `%`, blank, and nothing that separates. */
const plain = /^(?!\.{1,2}$)[A-Za-z0-9_.@=+-]{1,128}$/;

export const slotKinds = {
  /** One segment of a path, such as Vault's (P-03): a `/`, `..` or `%2e` in it would be another path, so there is none. */
  "path-segment": { value: plain, whole: /^(?!\.{1,2}(?:\/|$))[^/]+(?:\/(?!\.{1,2}(?:\/|$))[^/]+)*$/, between: "'/'" },
  /** A label in a name that is shown or matched as a whole. */
  name: { value: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/, between: "'/' or ':'" },
  /** One part of an ARN: a `:` or `/` would be another resource (AWS, "Amazon Resource Names"), a `*` or `?` any of them. */
  "arn-part": { value: plain, between: "':' or '/'" },
  /**
   * Inside the resource of an IAM session policy (P-01). IAM reads `*` and `?` as wildcards and `${…}` as a variable, also when they came out
   * of a claim (IAM, "Policy elements: variables and tags").
   */
  "policy-resource": { value: plain, between: "'/' or ':'" },
  /**
   * A role session's name, 2 to 64 characters of `[\w+=,.@-]` (AWS STS, AssumeRole, `RoleSessionName`). CloudTrail and `aws:userid` know the
   * job by it, so one that is too long is denied (P-05): cut short, it would be another job's. A comma is left for what is between slots.
   */
  "session-name": { value: /^[A-Za-z0-9_.@=+-]{1,64}$/, whole: /^[\w+=,.@-]{2,64}$/, between: "','" },
  /** The value of a session tag, at most 256 characters (AWS STS, `Tag`; P-05): what attribute-based access compares as a whole. */
  tag: { value: /^[A-Za-z0-9_.:/=+@-]{1,256}$/, whole: /^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,256}$/u, between: "' '" },
  /** Inside a string literal of a CEL condition (P-02): neither quote nor backslash, so it cannot end there; no `/`, so no other object. */
  "gcp-literal": { value: plain, between: "'/' or ':'" },
  /** A file's name, alone (P-07): `.bashrc`, `-rf`, `..`, another extension or a lookalike of these would be another file than was meant. */
  "file-name": { value: /^[A-Za-z0-9_-]{1,64}$/, whole: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, between: "'.'" },
  /**
   * Part of one field value (RFC 9110 section 5.5): a CR or LF would be another field, a comma another member (5.6.1), a quote, a semicolon
   * or a blank another parameter (5.6.6).
   */
  header: { value: /^[A-Za-z0-9_.~:/@=+-]{1,256}$/, whole: /^(?! )[\x20-\x7e]{1,1024}(?<! )$/, between: "' ' or ','" },
  /** Part of a URL's query or of a scope: unreserved only (RFC 3986 section 2.3), since `&`, `=` and `#` would be another request (P-04). */
  query: { value: /^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}$/, between: "'/' or '&'" },
} as const satisfies Record<string, Kind>;

export type SlotKind = keyof typeof slotKinds;

/**
 * The source of a regular expression for one slot: a claim's name in braces, which no name has. Names are as CI systems have them, such as
 * `oidc.circleci.com/project-id`, `agent_tag:queue` or GitHub's custom properties, which may hold `$`, `#` and `-`.
 */
export const slotSpelling = String.raw`\{[A-Za-z_][A-Za-z0-9_.:/$#-]*\}`;
const everySlot = new RegExp(slotSpelling, "g");
const slotOrText = new RegExp(`(${slotSpelling})`);

/** A template's text with its slots found; becomes a string when a decision fills it. */
export class Slotted {
  readonly kind: SlotKind;
  /** Text and slot by turns, text first: `secret/{project_id}/x` is `["secret/", "project_id", "/x"]`. */
  readonly #parts: readonly string[];

  constructor(kind: SlotKind, text: string) {
    this.kind = kind;
    this.#parts = text.split(slotOrText).map((part, index) => (index % 2 === 0 ? part : part.slice(1, -1)));
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
    return between.some((text) => text.split("").every((character) => kindOf(this.kind).value.test(`a${character}`)));
  }

  /** Whether a value may hold what parts a path or a name, so that it is more than one segment of it. */
  get crosses(): boolean {
    const { value } = kindOf(this.kind);
    return (
      this.slots.length > 0 &&
      ["/", ":"].some((sign) => ["a", ""].some((end) => value.test(`a${sign}${end}`) || value.test(sign + end)))
    );
  }

  /** Throws `slot-unfillable`, which names the claim and never the value that would have done harm elsewhere. */
  fill(claims: Readonly<Record<string, unknown>>): string {
    const filled = this.#join((claim) => this.#value(claim, claims));
    if (!this.#fits(filled))
      throw new BrokerError("slot-unfillable", `filled with ${this.slots.join(" and ")}, the text is no ${this.kind}`);
    return filled;
  }

  /** What it could be filled to, by values as short as can be; undefined where nothing fits. */
  get sample(): string | undefined {
    return ["x", "xx"].map((value) => this.#join(() => value)).find((text) => this.#fits(text));
  }

  #join(valueOf: (claim: string) => string): string {
    return this.#parts.map((part, index) => (index % 2 === 0 ? part : valueOf(part))).join("");
  }

  #fits(text: string): boolean {
    return kindOf(this.kind).whole?.test(text) ?? true;
  }

  #value(claim: string, claims: Readonly<Record<string, unknown>>): string {
    const text = textOf(Object.hasOwn(claims, claim) ? claims[claim] : undefined);
    if (text === undefined || !kindOf(this.kind).value.test(text))
      throw new BrokerError("slot-unfillable", `the claim ${claim} cannot fill its slot, which takes a ${this.kind}`);
    return text;
  }
}

function kindOf(kind: SlotKind): Kind {
  return slotKinds[kind];
}

/** A number that JSON may have rounded could be another's id. */
function textOf(value: unknown): string | undefined {
  if (Number.isSafeInteger(value)) return String(value);
  return typeof value === "string" ? value : undefined;
}

/** How a provider's schema says that slots may stand in a text, and of which kind they are there. */
export function slot(kind: SlotKind): z.ZodType<Slotted, string> {
  return z
    .string()
    .min(1)
    .refine((text) => !text.includes("${"), "a ${…} is another language's variable; a slot is written {claim}")
    .refine((text) => !/[{}]/.test(text.replaceAll(everySlot, "")), "a slot is written {claim}; other braces cannot stand here")
    .transform((text) => new Slotted(kind, text))
    .refine(
      (text) => !text.merges,
      `two slots need a character between them that neither can contain, such as ${slotKinds[kind].between}`,
    )
    .refine((text) => text.sample !== undefined, `whatever fills its slots, this is no ${kind}`)
    .refine((text) => !text.slots.some((name) => name.startsWith("each.")), "an {each.…} that no entry of for_each fills");
}

/** A template's options once its slots are filled: what a provider is handed. */
export type Filled<T> = T extends Slotted ? string : T extends object ? { readonly [K in keyof T]: Filled<T[K]> } : T;

/** Fills every slot at any depth. */
export function fill<T>(options: T, claims: Readonly<Record<string, unknown>>): Filled<T>;
export function fill(options: unknown, claims: Readonly<Record<string, unknown>>): unknown {
  return filledBy(options, (slotted) => slotted.fill(claims));
}

/** The same with what could fill them, for questions whose answer cannot depend on who asks. */
export function fillSample<T>(options: T): Filled<T>;
export function fillSample(options: unknown): unknown {
  return filledBy(options, (slotted) => slotted.sample ?? "");
}

function filledBy(options: unknown, by: (slotted: Slotted) => string): unknown {
  if (options instanceof Slotted) return by(options);
  if (Array.isArray(options)) return options.map((item: unknown) => filledBy(item, by));
  if (typeof options !== "object" || options === null) return options;
  return Object.fromEntries(Object.entries(options).map(([key, value]: [string, unknown]) => [key, filledBy(value, by)]));
}

/** The claims that any slot of these options names, at any depth. */
export function slotsOf(options: unknown): readonly string[] {
  if (options instanceof Slotted) return options.slots;
  return typeof options === "object" && options !== null ? Object.values(options).flatMap(slotsOf) : [];
}
