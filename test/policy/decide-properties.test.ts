import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/identity/identity.ts";
import { type Ask, decide } from "../../src/policy/decide.ts";
import type { Decision } from "../../src/policy/grant.ts";
import { hoursSchema } from "../../src/policy/hours.ts";
import { matches } from "../../src/policy/match.ts";
import { slot } from "../../src/policy/slots.ts";
import type { WhoLine } from "../../src/policy/who.ts";
import { type ByHand, credential, lines, made, named, policyOf } from "./by-hand.ts";
import { identity, line } from "./draws.ts";

const numRuns = 10_000;

/** The lines of each member, one after another: as a base's lines come before a template's own. */
const who = fc
  .array(line, { maxLength: 3 })
  .map((parts): readonly WhoLine[] => [{ issuer: "github" }, ...parts].flatMap(lines));
const whos = fc.array(who, { minLength: 1, maxLength: 6 });
/** Lines without an issuer, as no policy has them: nothing but what is drawn can be looked up. */
const unbound = fc.array(line, { minLength: 1, maxLength: 2 }).map((parts): readonly WhoLine[] => parts.flatMap(lines));
const issuer = { issuer: "github" };

function templates(all: readonly (readonly WhoLine[])[], changes: Partial<ByHand> = {}): readonly ByHand[] {
  return all.map((one, index) => made(`t${index}`, issuer, { ...changes, who: one }));
}

function ask(of: Identity, changes: Partial<Ask> = {}): Ask {
  return { identity: of, template: undefined, step: undefined, command: ["true"], now: 0, ...changes };
}

/** A decision without what a denial tells of the way to it. */
function outcome(decision: Decision<unknown, string>): unknown {
  if (decision.kind === "denied") return decision.code;
  const { reason: _, ...grant } = decision;
  return grant;
}

describe("for all policies and identities", () => {
  it("a condition more never grants more: a line of who, or hours", () => {
    const night = hoursSchema.parse({ hours: "22:00-06:00", zone: "UTC" });
    let granted = 0;
    fc.assert(
      fc.property(who, line, fc.boolean(), identity, (wide, more, timed, of) => {
        const narrow = { who: [...wide, ...lines(more)], when: timed ? [night] : [] };
        const named = ask(of, { template: "t", now: 43_200_000 });
        const before = decide(policyOf([made("t", issuer, { who: wide })]), named);
        const after = decide(policyOf([made("t", issuer, narrow)]), named);
        if (after.kind === "denied") return;
        granted += 1;
        expect(timed).toBe(false);
        expect(outcome(before)).toEqual(outcome(after));
      }),
      { numRuns },
    );
    expect(granted).toBeGreaterThan(200);
  });

  it("the order of templates and of lines changes nothing", () => {
    const shuffled = whos.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all.keys()], { minLength: all.length }), fc.integer()),
    );
    let granted = 0;
    fc.assert(
      fc.property(shuffled, identity, ([all, order, seed], of) => {
        const one = templates(all);
        const turned = one.map((template) => ({ ...template, who: rotated(template.who, seed) }));
        const other = order.flatMap((index) => turned[index] ?? []);
        const decision = decide(policyOf(one), ask(of));
        if (decision.kind === "granted") granted += 1;
        expect(outcome(decide(policyOf(other), ask(of)))).toEqual(outcome(decision));
      }),
      { numRuns },
    );
    expect(granted).toBeGreaterThan(200);
  });

  it("the candidates are in order, and among them is every template that matches", () => {
    let left = 0;
    fc.assert(
      fc.property(fc.array(fc.oneof(who, unbound), { maxLength: 6 }), identity, (all, of) => {
        const policy = policyOf(templates(all));
        const candidates = policy.candidates(of).map(({ name }) => name);
        const matching = [...policy.templates.values()].filter((template) => matches(template, of)).map(({ name }) => name);
        expect(candidates).toEqual([...new Set(candidates)].sort());
        expect(candidates).toEqual(expect.arrayContaining(matching));
        left += policy.templates.size - candidates.length;
      }),
      { numRuns },
    );
    expect(left, "templates that were not even looked at").toBeGreaterThan(numRuns);
  });

  it("two that match are ambiguous, one is granted, none is neither, whatever the candidates are", () => {
    fc.assert(
      fc.property(whos, identity, (all, of) => {
        const policy = policyOf(templates(all));
        const { length } = [...policy.templates.values()].filter((template) => matches(template, of));
        const decision = decide(policy, ask(of));
        const expected = length === 0 ? "no-match" : length === 1 ? "granted" : "ambiguous";
        expect(decision.kind === "granted" ? "granted" : decision.code).toBe(expected);
      }),
      { numRuns },
    );
  });

  it("decide never throws, whatever the identity is and whatever is asked, and what it says is bounded", () => {
    const options = { path: slot("path-segment").parse("a/{x}/b") };
    const credentials = named(credential("c", { options }));
    const all = fc
      .oneof(fc.array(who, { maxLength: 3 }), fc.array(who, { maxLength: 30 }))
      .map((some) => policyOf(templates(some, { credentials })));
    const word = fc.option(fc.oneof(fc.constantFrom("t0", "__proto__", "constructor"), fc.string()), {
      nil: undefined,
      freq: 1,
    });
    const anything = fc.oneof(identity, fc.anything({ withNullPrototype: true, withBigInt: true }), fc.jsonValue());
    let granted = 0;
    fc.assert(
      fc.property(all, anything, fc.record({ template: word, step: word, now: fc.double() }), (policy, of, asked) => {
        // Whatever its type says, an identity is data from outside.
        const decision = decide(policy, { ...ask(of as Identity), ...asked });
        if (decision.kind === "granted") granted += 1;
        else expect(decision.trace.length).toBeLessThanOrEqual(20);
        expect(["granted", "denied"]).toContain(decision.kind);
      }),
      { numRuns },
    );
    expect(granted).toBeGreaterThan(20);
  });
});

function rotated<T>(all: readonly T[], by: number): readonly T[] {
  const at = all.length === 0 ? 0 : Math.abs(by) % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}
