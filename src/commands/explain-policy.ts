import { resolve } from "node:path";
import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Identity } from "../identity/identity.ts";
import { decide } from "../policy/decide.ts";
import type { Decision, TemplateTrace } from "../policy/grant.ts";
import { matchAt } from "../policy/match.ts";
import type { Policy } from "../policy/policy.ts";
import { policyInvalid } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Io } from "./io.ts";
import { readTemplates, type TemplateFlags } from "./templates.ts";

/** What is asked for, where nobody runs anything. */
export interface AskFlags extends TemplateFlags {
  readonly template?: string;
  readonly step?: string;
  readonly templates?: string;
  readonly json?: boolean;
}

export interface Asking {
  readonly identity: Identity;
  readonly command: readonly string[];
  readonly flags: AskFlags;
}

/** Throws `policy-invalid`. */
export async function policyFrom(
  io: Io,
  types: LoadCatalogue,
  { config, flags }: { readonly config: Config; readonly flags: AskFlags },
): Promise<Policy<Delivery, Isolation>> {
  const folder = flags.templates === undefined ? config.templates : resolve(io.cwd, flags.templates);
  const compiled = await readTemplates(io, types, { config, folder });
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  return compiled.policy;
}

/** Without a command, one stands in where the step pins none: who asks what a job may have need not say what it runs. */
export function decided<D, I>(io: Io, policy: Policy<D, I>, { identity, command, flags }: Asking): Decision<D, I> {
  const ask = { identity, template: flags.template, step: flags.step, command, now: io.clock.now() };
  const decision = decide(policy, ask);
  const lacksCommand = decision.kind === "denied" && decision.code === "usage" && command.length === 0;
  return lacksCommand ? decide(policy, { ...ask, command: ["COMMAND"] }) : decision;
}

/** The same, and where only the step was left out, what each step would get. */
export function decidedBySteps<D, I>(io: Io, policy: Policy<D, I>, asking: Asking): readonly Decision<D, I>[] {
  const decision = decided(io, policy, asking);
  if (decision.kind === "granted" || decision.code !== "step-required") return [decision];
  const template = policy.templates.get(decision.trace.find(({ matched }) => matched)?.template ?? "");
  return [...(template?.steps.keys() ?? [])].map((step) =>
    decided(io, policy, { ...asking, flags: { ...asking.flags, step } }),
  );
}

/** Every template that was asked about, whether one of them matched or not. */
export function tracesOf<D, I>(io: Io, policy: Policy<D, I>, { identity, flags }: Asking): readonly TemplateTrace[] {
  const asked = [...policy.templates.values()].filter(({ name }) => flags.template === undefined || name === flags.template);
  return asked.map((template) => matchAt(template, { identity, now: io.clock.now() }));
}
