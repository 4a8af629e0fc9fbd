import type { z } from "zod";
import type { Trust } from "../../identity/identity.ts";
import type { IsolationByTrust } from "../policy.ts";
import type { Excess } from "../rooms.ts";
import type { Path } from "./document.ts";
import { defined, type Plain } from "./plain.ts";
import { issueProblems, parsePart, type Reading, sayable } from "./reading.ts";
import { trusts, type WrittenTemplate } from "./template.ts";

/** `sandbox` as it is, and as it is for a job of each trust that `by_trust` names; nothing where one of them does not fit. */
export function readIsolation<I>(
  { sandbox, tolerate }: Pick<WrittenTemplate, "sandbox" | "tolerate">,
  schema: z.ZodType<I>,
  reading: Reading,
): IsolationByTrust<I> | undefined {
  const { by_trust: byTrust, ...common } = sandbox;
  const base = readOne({ common, tolerate, changed: {}, at: ["sandbox"] }, schema, reading);
  const changed = trusts.flatMap((trust) => {
    const change = byTrust[trust];
    if (change === undefined) return [];
    const at = ["sandbox", "by_trust", trust];
    return [[trust, readOne({ common, tolerate, changed: change, at }, schema, reading)] as const];
  });
  if (base === undefined) return undefined;
  return {
    base: base.value,
    byTrust: new Map(changed.flatMap(([trust, read]) => (read === undefined ? [] : [[trust, read.value]]))),
  };
}

interface WrittenIsolation {
  readonly common: Plain;
  readonly tolerate: Plain;
  readonly changed: Plain;
  readonly at: Path;
}

/** `tolerate` is put in from the template's top, and what is wrong with it is said there. */
function readOne<I>(
  { common, tolerate, changed, at }: WrittenIsolation,
  schema: z.ZodType<I>,
  reading: Reading,
): { readonly value: I } | undefined {
  const { document, problems } = reading;
  if ("tolerate" in common || "tolerate" in changed) {
    const where = "tolerate" in changed ? at : ["sandbox"];
    problems.push(document.problem([...where, "tolerate"], "not here", "'tolerate' stands at the template's top"));
    return undefined;
  }
  const parsed = parsePart(schema, defined({ ...common, ...changed, tolerate }));
  if (parsed.success) return { value: parsed.data };
  const placeOf = (key: unknown): Path =>
    key === "tolerate" ? [] : typeof key === "string" && Object.hasOwn(changed, key) ? at : ["sandbox"];
  for (const issue of sayable(parsed.error.issues).flatMap(oneKeyEach)) {
    const key = issue.path[0] ?? (issue.code === "unrecognized_keys" ? issue.keys[0] : undefined);
    problems.push(...issueProblems(issue, { document, problems, at: placeOf(key) }, schema));
  }
  return undefined;
}

/** Keys that nobody knows may stand in two places. */
function oneKeyEach(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
  return issue.code === "unrecognized_keys" ? issue.keys.map((key) => ({ ...issue, keys: [key] })) : [issue];
}

/** What is too much, by `find`, for a job of any trust that is treated apart, each where it is written. */
export function excesses<I>(
  { isolation, sandbox }: { readonly isolation: IsolationByTrust<I>; readonly sandbox: WrittenTemplate["sandbox"] },
  apart: Iterable<Trust>,
  find: (isolation: I, trust: Trust | undefined) => readonly Excess[],
): readonly { readonly path: Path; readonly message: string }[] {
  const plain = find(isolation.base, undefined).map(({ key, message }) => ({ path: pathOf(key, ["sandbox"]), message }));
  const changed = [...new Set(apart)].flatMap((trust) =>
    find(isolation.byTrust.get(trust) ?? isolation.base, trust).map(({ key, message }) => {
      const there = Object.hasOwn(sandbox.by_trust[trust] ?? {}, key.split(".")[0] ?? "");
      return { path: pathOf(key, there ? ["sandbox", "by_trust", trust] : ["sandbox"]), message };
    }),
  );
  return [...plain, ...changed];
}

function pathOf(key: string, at: Path): Path {
  return key.startsWith("tolerate") ? key.split(".") : [...at, ...key.split(".")];
}
