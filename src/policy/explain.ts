import type { Duration, Instant } from "../time.ts";
import type { Decision, Denial, Grant, GrantedCredential, LineTrace, Observe, TemplateTrace } from "./grant.ts";
import { type Endpoint, endpointText } from "./network.ts";

/**
 * A decision as text, one thing a line, for those who may see what was expected: `mayfly explain`. The same as JSON is
 * `explained`.
 */
export function explainLines<D, I>(decision: Decision<D, I>, traces: readonly TemplateTrace[] = []): readonly string[] {
  return decision.kind === "granted" ? grantLines(decision, traces) : denialLines(decision);
}

/** Plain data: no secret is in a decision, and a `Secret` could not be printed anyway. */
export function explained<D, I>(decision: Decision<D, I>, traces: readonly TemplateTrace[] = []): unknown {
  if (decision.kind === "denied") return decision;
  const { identity, observe, network, ...grant } = decision;
  const { issuer, subject, workload, job, trust } = identity;
  return {
    ...grant,
    step: grant.step ?? null,
    network: network.map(({ host, port, from }) => ({ host, port, from: from ?? null })),
    observe: observe === undefined ? null : { parts: observe.parts, until: timeText(observe.until) },
    identity: { issuer, subject, workload, job, trust },
    trace: traces,
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

function grantLines<D, I>(grant: Grant<D, I>, traces: readonly TemplateTrace[]): readonly string[] {
  return [
    `granted: ${grant.reason}`,
    `  policy     ${grant.policy}`,
    `  template   ${grant.template}${grant.step === undefined ? "" : `, step ${grant.step}`}`,
    `  command    ${grant.command.map((argument) => JSON.stringify(argument)).join(" ")}`,
    `  workspace  ${grant.workspace}`,
    ...(grant.credentials.length === 0 ? ["  no credentials"] : grant.credentials.flatMap(credentialLines)),
    ...networkLines(grant.network, grant.observe),
    `  sandbox    ${JSON.stringify(grant.isolation)}`,
    ...(grant.observe === undefined ? [] : [`  observe    ${observeText(grant.observe)}`]),
    ...traces.flatMap(traceLines),
  ];
}

function credentialLines<D>(credential: GrantedCredential<D>): readonly string[] {
  const { name, provider, options, ttl, deliver } = credential;
  const delivered = deliver === undefined ? "every part under its own name" : JSON.stringify(deliver);
  return [
    `  credential ${name} from ${provider}, for ${seconds(ttl)}`,
    `    scope    ${JSON.stringify(options)}`,
    `    deliver  ${delivered}`,
    ...downLines(credential),
  ];
}

/** What becomes of the run while the provider is down; said only where it is not simply refused. */
function downLines({ wait, optional }: Pick<GrantedCredential<unknown>, "wait" | "optional">): readonly string[] {
  if (wait === 0 && !optional) return [];
  const waits = wait === 0 ? "" : `waits ${seconds(wait)} for its provider, then `;
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

function seconds(span: Duration): string {
  return `${span / 1_000}s`;
}

function timeText(instant: Instant): string {
  return new Date(instant).toISOString();
}
