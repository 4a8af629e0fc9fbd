import { indexOf } from "../../src/policy/candidates.ts";
import type { Policy, Step, Template, TemplateCredential } from "../../src/policy/policy.ts";
import { type WhoLine, whoLinesSchema } from "../../src/policy/who.ts";

export type ByHand = Template<unknown, string>;

/** Templates as the compiler makes them, for tests of what is decided from them: nothing is read, and nothing but `who` is checked. */
export function made(name: string, who: Readonly<Record<string, unknown>>, changes: Partial<ByHand> = {}): ByHand {
  return {
    name,
    file: `${name}.yaml`,
    owner: undefined,
    who: lines(who),
    when: [],
    credentials: new Map(),
    steps: new Map(),
    network: [],
    isolation: { base: "enforced", byTrust: new Map() },
    observe: undefined,
    unlimited: undefined,
    accepts: {},
    expanded: {},
    ...changes,
  };
}

/** A credential of ten minutes. */
export function credential(name: string, changes: Partial<TemplateCredential<unknown>> = {}): TemplateCredential<unknown> {
  return { name, provider: "local", options: {}, ttl: 600_000, deliver: undefined, wait: 0, optional: false, ...changes };
}

/** A step without anything. */
export function step(name: string, changes: Partial<Step> = {}): Step {
  return { name, run: undefined, credentials: [], network: [], workspace: "rw", ...changes };
}

/** By their names, as a template has them. */
export function named<T extends { readonly name: string }>(...all: readonly T[]): ReadonlyMap<string, T> {
  return new Map(all.map((one) => [one.name, one]));
}

export function lines(who: Readonly<Record<string, unknown>>): readonly WhoLine[] {
  return whoLinesSchema.parse(who);
}

/** In the order of the names, as a policy always is. */
export function policyOf(templates: readonly ByHand[]): Policy<unknown, string> {
  const sorted = templates.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return {
    digest: "0".repeat(64),
    text: "",
    templates: named(...sorted),
    candidates: indexOf(sorted),
  };
}
