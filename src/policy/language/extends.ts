import type { TemplateDocument } from "./document.ts";
import { meant } from "./nearest.ts";
import { defined, isPlain, own, type Plain, plainOf } from "./plain.ts";
import { type Reading, readPart } from "./reading.ts";
import { life } from "./template.ts";

export interface Base {
  readonly name: string;
  readonly value: Plain;
}

/** The child's own words and where they stand. */
export interface Child {
  readonly value: Plain;
  readonly document: TemplateDocument;
}

/**
 * The base's keys with the child's put over them. What can only be left out (a credential, a step) or be set beside what is there is settled
 * here; whether what the child set is narrower is for `narrow.ts`, once both are read. `who` and `when` are no part of it: those of both hold.
 */
export function mergeBase(child: Child, base: Base, problems: Reading["problems"]): Plain {
  const reading = { document: child.document, problems };
  const credentials = mergeCredentials(child.value["credentials"], base, reading);
  const steps = mergeSteps(child.value, base, reading);
  return defined({
    ...base.value,
    ...child.value,
    max_ttl: lower(child.value["max_ttl"], base.value["max_ttl"], reading),
    credentials,
    steps: withoutDropped({ steps, credentials, child: child.value }, base, reading),
    network: networkOf(child.value, base.value),
    sandbox: mergeSandbox(child.value["sandbox"], base.value["sandbox"]),
  });
}

/** Where a child divides into steps what its base gives to every run, each step says for itself what it may reach. */
function networkOf(child: Plain, base: Plain): unknown {
  return child["network"] ?? (child["steps"] === undefined ? base["network"] : undefined);
}

/** The lower of two lives. What is no life at all is kept, and said where the whole is read. */
function lower(child: unknown, base: unknown, reading: Reading): unknown {
  if (child === undefined || base === undefined) return child ?? base;
  const outer = life.safeParse(base);
  const inner = readPart(life, child, { ...reading, at: ["max_ttl"] });
  return outer.success && inner !== undefined && outer.data < inner.value ? base : child;
}

const settable = ["ttl", "wait", "optional"];

function mergeCredentials(child: unknown, { name, value }: Base, { document, problems }: Reading): unknown {
  const base = plainOf(value["credentials"]);
  if (!isPlain(child)) return child ?? value["credentials"];
  const merged = Object.entries(child).flatMap(([key, credential]) => {
    const at = ["credentials", key];
    const inherited = own(base, key);
    if (inherited === undefined)
      problems.push(
        document.problem(
          at,
          `${name} has no such credential, and a template only narrows its base`,
          meant(key, Object.keys(base)),
        ),
      );
    for (const option of Object.keys(plainOf(credential)).filter((option) => !settable.includes(option)))
      problems.push(
        document.problem([...at, option], `comes from ${name}; here only ${settable.join(", ")} can be set`, "leave it out"),
      );
    return inherited === undefined ? [] : [[key, over(inherited, credential)] as const];
  });
  return Object.fromEntries(merged);
}

/** `db:` with nothing behind it keeps what the base has. */
function over(base: unknown, child: unknown): unknown {
  if (child === null) return base;
  return isPlain(child) ? { ...plainOf(base), ...child } : child;
}

function mergeSteps(child: Plain, { name, value }: Base, { document, problems }: Reading): unknown {
  const steps = child["steps"];
  const base = value["steps"];
  if (!isPlain(steps) || !isPlain(base)) return steps ?? base;
  const merged = Object.entries(steps).flatMap(([key, step]) => {
    const inherited = own(base, key);
    if (inherited === undefined)
      problems.push(
        document.problem(
          ["steps", key],
          `${name} has no such step, and a template only narrows its base`,
          meant(key, Object.keys(base)),
        ),
      );
    return inherited === undefined ? [] : [[key, over(inherited, step)] as const];
  });
  return Object.fromEntries(merged);
}

interface Merged {
  readonly steps: unknown;
  readonly credentials: unknown;
  readonly child: Plain;
}

/** A step of the base that would lose a credential is not quietly run without it. */
function withoutDropped(
  { steps, credentials, child }: Merged,
  { name, value }: Base,
  { document, problems }: Reading,
): unknown {
  if (!isPlain(steps) || !isPlain(child["credentials"])) return steps;
  const kept = plainOf(credentials);
  // Where the child misspells one, that is what is said.
  const misspelled = Object.keys(child["credentials"]).some((key) => own(plainOf(value["credentials"]), key) === undefined);
  const lost = (credential: unknown): boolean => !Object.hasOwn(kept, String(credential));
  return Object.fromEntries(
    Object.entries(steps).map(([key, step]) => {
      const listed = plainOf(step)["credentials"];
      const writes = plainOf(own(plainOf(child["steps"]), key))["credentials"] !== undefined;
      if (writes || !Array.isArray(listed) || !listed.some(lost)) return [key, step];
      const left = listed.filter(lost).map(String);
      const message = `leaves out ${left.join(", ")}, which step ${key} of ${name} gets`;
      const fix = `keep it with '${left.map((one) => `${one}: {}`).join(", ")}', or write in 'steps' which credentials each step keeps`;
      if (!misspelled) problems.push(document.problem(["credentials"], message, fix));
      return [key, { ...plainOf(step), credentials: listed.filter((credential) => !lost(credential)) }];
    }),
  );
}

function mergeSandbox(child: unknown, base: unknown): unknown {
  if (!isPlain(child) || !isPlain(base)) return child ?? base;
  const { by_trust: inner, ...changed } = child;
  const { by_trust: outer, ...inherited } = base;
  const trusts = new Set([...Object.keys(plainOf(outer)), ...Object.keys(plainOf(inner))]);
  const byTrust = [...trusts].map((trust) => [
    trust,
    over(own(plainOf(outer), trust) ?? {}, own(plainOf(inner), trust) ?? null),
  ]);
  const merged: unknown = isPlain(inner ?? {}) ? Object.fromEntries(byTrust) : inner;
  return { ...inherited, ...changed, ...(trusts.size > 0 || inner !== undefined ? { by_trust: merged } : {}) };
}
