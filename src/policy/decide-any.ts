import { type Ask, decide } from "./decide.ts";
import type { Decision } from "./grant.ts";
import type { Policy } from "./policy.ts";

/** In a grant, stands for any command: nobody said which, and none is pinned. Known by being this very list, whatever is in it. */
export const anyCommand: readonly string[] = ["any-command"];

/** Where nobody runs anything, or what was run is not on record: without a command, any stands in where none is pinned. Pure. */
export function decideAny<D, I>(policy: Policy<D, I>, ask: Ask): Decision<D, I> {
  const decision = decide(policy, ask);
  const lacksCommand = decision.kind === "denied" && decision.code === "usage" && ask.command.length === 0;
  return lacksCommand ? decide(policy, { ...ask, command: anyCommand }) : decision;
}

/** The same, and where only the step was left out, what each step of the template would get. */
export function decideEach<D, I>(policy: Policy<D, I>, ask: Ask): readonly Decision<D, I>[] {
  const decision = decideAny(policy, ask);
  if (decision.kind === "granted" || decision.code !== "step-required") return [decision];
  const template = decision.trace.find(({ matched }) => matched)?.template ?? "";
  const steps = [...(policy.templates.get(template)?.steps.keys() ?? [])];
  return steps.map((step) => decideAny(policy, { ...ask, step }));
}
