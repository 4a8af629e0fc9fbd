import { durationText } from "../duration-text.ts";
import type { Instant } from "../time.ts";
import { anyCommand } from "./decide-any.ts";
import type { Decision, Denial, Grant, GrantedCredential, LineTrace, Observe, TemplateTrace } from "./grant.ts";
import { type Endpoint, endpointText } from "./network.ts";

/** How the rooms that policy does not know say their parts of a grant, each in one line. */
export interface Words<D, I> {
  delivery(delivery: D): string;
  isolation(isolation: I): string;
}

/**
 * A decision as text, one thing a line, for those who may see what was expected: `mayfly explain`. The same as JSON is
 * `explained`.
 */
export function explainLines<D, I>(decision: Decision<D, I>, words: Words<D, I>): readonly string[] {
  return decision.kind === "granted" ? grantLines(decision, words) : denialLines(decision);
}

/** Plain data: no secret is in a decision, and a `Secret` could not be printed anyway. */
export function explained<D, I>(decision: Decision<D, I>): unknown {
  if (decision.kind === "denied") return decision;
  const { identity, observe, network, ...grant } = decision;
  const { issuer, subject, workload, job, trust } = identity;
  return {
    ...grant,
    step: grant.step ?? null,
    command: grant.command === anyCommand ? null : grant.command,
    network: network.map(({ host, port, from }) => ({ host, port, from: from ?? null })),
    observe: observe === undefined ? null : { parts: observe.parts, until: timeText(observe.until) },
    identity: { issuer, subject, workload, job, trust },
  };
}

function denialLines(denial: Denial): readonly string[] {
  return [
    `denied: ${denial.message}`,
    `  code    ${denial.code}`,
    `  policy  ${denial.policy}`,
    ...denial.trace.flatMap(traceLines),
  ];
}

/** Every line that was read, the last one being why it stopped. */
export function traceLines({ template, matched, lines }: TemplateTrace): readonly string[] {
  const width = Math.max(0, ...lines.map(({ line }) => line.length));
  return [`template ${template}: ${outcome(matched, lines)}`, ...lines.map((line) => lineText(line, width))];
}

function outcome(matched: boolean, lines: readonly LineTrace[]): string {
  if (matched) return "matches";
  return lines.at(-1)?.line === "when" ? "matches, but not at this time" : "does not match";
}

function lineText({ line, held, expected, found }: LineTrace, width: number): string {
  return `  ${held ? "yes" : "NO "}  ${line.padEnd(width)}  wants ${expected}  found ${found}`;
}

function grantLines<D, I>(grant: Grant<D, I>, words: Words<D, I>): readonly string[] {
  const { step, credentials, observe } = grant;
  return [
    `granted: ${grant.reason}`,
    `  policy     ${grant.policy}`,
    `  template   ${grant.template}${step === undefined ? "" : `, step ${step}`}`,
    `  command    ${commandText(grant)}`,
    `  workspace  ${grant.workspace}`,
    ...(credentials.length === 0 ? ["  no credentials"] : credentials.flatMap((one) => credentialLines(one, words))),
    ...networkLines(grant.network, observe),
    `  sandbox    ${words.isolation(grant.isolation)}`,
    ...(observe === undefined ? [] : [`  observe    ${observeText(observe)}`]),
  ];
}

function commandText({ command, step }: Grant<unknown, unknown>): string {
  if (command === anyCommand) return `any (the ${step === undefined ? "template" : "step"} pins none)`;
  return command.map((argument) => JSON.stringify(argument)).join(" ");
}

function credentialLines<D>(credential: GrantedCredential<D>, words: Pick<Words<D, unknown>, "delivery">): readonly string[] {
  const { name, provider, options, ttl, deliver } = credential;
  return [
    `  credential ${name} from ${provider}, for ${durationText(ttl)}`,
    ...scopeLines(options),
    `    deliver  ${words.delivery(deliver)}`,
    ...(credential.as === "job" ? [`    proof    ${asJob}`] : []),
    ...downLines(credential),
  ];
}

const asJob = "the job's own token: whoever holds it can have the same upstream, without this broker";

/** A provider's options, one a line. */
function scopeLines(options: unknown): readonly string[] {
  const parts = typeof options === "object" && options !== null ? Object.entries(options) : [];
  const said = parts.filter(([, value]) => value !== undefined);
  return said.map(([key, value], index) => `    ${index === 0 ? "scope" : "     "}    ${key} ${valueText(value)}`);
}

/** Bare where it can be read in one way only. */
function valueText(value: unknown): string {
  if (typeof value === "string" && /^[\x21-\x7e]+$/.test(value)) return value;
  const isPlainList =
    Array.isArray(value) && value.every((item) => typeof item === "string" && /^[\x21-\x2b\x2d-\x7e]+$/.test(item));
  return isPlainList && value.length > 0 ? value.join(", ") : JSON.stringify(value);
}

/** What becomes of the run while the provider is down; said only where it is not simply refused. */
function downLines({ wait, optional }: Pick<GrantedCredential<unknown>, "wait" | "optional">): readonly string[] {
  if (wait === 0 && !optional) return [];
  const waits = wait === 0 ? "" : `waits ${durationText(wait)} for its provider, then `;
  return [`    if down  ${waits}${optional ? "goes on without it" : "is refused"}`];
}

function networkLines(network: readonly Endpoint[], observe: Observe | undefined): readonly string[] {
  const open = observe?.parts.includes("network") === true;
  if (network.length === 0)
    return [`  network    ${open ? "nothing is listed, and anything is let through while observed" : "none"}`];
  return network.map((endpoint, index) => {
    const source = endpoint.from === undefined ? "" : ` (from ${endpoint.from})`;
    return `  ${index === 0 ? "network" : "       "}    ${endpointText(endpoint)}${source}`;
  });
}

function observeText({ parts, until }: Observe): string {
  return `${parts.join(" and ")}: recorded and not enforced until ${timeText(until)}`;
}

function timeText(instant: Instant): string {
  return new Date(instant).toISOString();
}
