import { isDeepStrictEqual } from "node:util";
import type { Expected, ExpectedGrant } from "./oracle/decide.ts";
import type { Limits } from "./oracle/final.ts";
import type { SiteDecision } from "./subject.ts";

type SiteGrant = Extract<SiteDecision, { kind: "granted" }>;

/** In what a decision is not what the oracle expects; undefined where it is all the same. */
export function disagreement(decision: SiteDecision, expected: Expected): string | undefined {
  if (decision.kind !== expected.kind)
    return `${outcomeOf(decision)}, and not ${expected.kind === "denied" ? expected.code : "granted"}`;
  if (decision.kind === "denied")
    return expected.kind === "denied" && decision.code === expected.code
      ? undefined
      : `${decision.code}, and not ${outcomeOf(expected)}`;
  if (expected.kind === "denied") return "granted";
  const [given, wanted] = [plainGrant(decision), expectedGrant(expected.grant)];
  return isDeepStrictEqual(given, wanted) ? undefined : `${JSON.stringify(given)}, and not ${JSON.stringify(wanted)}`;
}

function outcomeOf(outcome: { readonly kind: "granted" } | { readonly kind: "denied"; readonly code: string }): string {
  return outcome.kind === "denied" ? outcome.code : "granted";
}

/** What of a grant means something, in no order of its own: equal where two grants give the same. */
export function plainGrant(grant: SiteGrant): object {
  return {
    template: grant.template,
    command: grant.command,
    workspace: grant.workspace,
    network: places(grant.network),
    credentials: byName(
      grant.credentials.map(({ name, provider, ttl, wait, optional, deliver, options }) => [
        name,
        { provider, ttl, wait, optional, deliver, options: plainOptions(options) },
      ]),
    ),
    limits: limitsOfGrant(grant),
    observed: [...(grant.observe?.parts ?? [])].sort(),
  };
}

/** What the provider's schema adds by itself says which engine it is, and follows from the path. */
function plainOptions(options: unknown): object {
  const entries = Object.entries(options as object).filter(
    ([key, value]) => value !== undefined && !(key === "kind" && /^(?:kv|dynamic)$/.test(String(value))),
  );
  return Object.fromEntries(entries);
}

function byName(entries: readonly (readonly [string, object])[]): object {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function places(network: readonly { readonly host: string; readonly port: number }[]): readonly string[] {
  return [...new Set(network.map(({ host, port }) => `${host}:${port}`))].sort();
}

export function limitsOfGrant({ isolation }: SiteGrant): Limits {
  const { memory, cpus, pids, timeout, environment, tolerate } = isolation;
  return { memory, cpus, pids, timeout, pass: [...new Set(environment.pass)].sort(), tolerate: Object.keys(tolerate).sort() };
}

function expectedGrant(grant: ExpectedGrant): object {
  const { template, command, workspace, network, credentials, limits, observed } = grant;
  return {
    template,
    command: command.map(String),
    workspace,
    network: places(network),
    credentials: byName(
      [...credentials].map(([name, { provider, ttl, wait, optional, deliver, options }]) => [
        name,
        { provider, ttl, wait, optional, deliver, options },
      ]),
    ),
    limits: { ...limits, pass: [...new Set(limits.pass)].sort(), tolerate: [...limits.tolerate].sort() },
    observed: [...observed].sort(),
  };
}
