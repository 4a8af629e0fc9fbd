import type { Decision, Denial, Grant, TemplateTrace } from "./grant.ts";

/**
 * A decision as text, one thing a line, for those who may see what was expected: `mayfly explain`. The same as JSON is
 * `explained`.
 */
export function explainText<D, I>(decision: Decision<D, I>, traces: readonly TemplateTrace[] = []): string {
  return (decision.kind === "granted" ? grantLines(decision, traces) : denialLines(decision)).join("\n");
}

/** Plain data: no secret is in a decision, and a `Secret` could not be printed anyway. */
export function explained<D, I>(decision: Decision<D, I>, traces: readonly TemplateTrace[] = []): unknown {
  if (decision.kind === "denied") return decision;
  const { identity, ...grant } = decision;
  const { issuer, subject, workload, job, trust } = identity;
  return { ...grant, step: grant.step ?? null, identity: { issuer, subject, workload, job, trust }, trace: traces };
}

function denialLines(denial: Denial): readonly string[] {
  return [
    `denied: ${denial.message}`,
    `  code    ${denial.code}`,
    `  policy  ${denial.policy}`,
    ...denial.trace.flatMap(traceLines),
  ];
}

export function traceText(trace: TemplateTrace): string {
  return traceLines(trace).join("\n");
}

/** Every line that was read, the last one being why it stopped. */
function traceLines({ template, matched, lines }: TemplateTrace): readonly string[] {
  const width = Math.max(0, ...lines.map(({ line }) => line.length));
  return [
    `template ${template}: ${matched ? "matches" : "does not match"}`,
    ...lines.map(
      ({ line, held, expected, found }) =>
        `  ${held ? "yes" : "NO "}  ${line.padEnd(width)}  wants ${expected}  found ${found}`,
    ),
  ];
}

function grantLines<D, I>(grant: Grant<D, I>, traces: readonly TemplateTrace[]): readonly string[] {
  return [
    `granted: ${grant.reason}`,
    `  policy     ${grant.policy}`,
    `  template   ${grant.template}${grant.step === undefined ? "" : `, step ${grant.step}`}`,
    `  command    ${grant.command.map((argument) => JSON.stringify(argument)).join(" ")}`,
    `  workspace  ${grant.workspace}`,
    ...(grant.credentials.length === 0 ? ["  no credentials"] : grant.credentials.flatMap(credentialLines)),
    `  sandbox    ${JSON.stringify(grant.isolation)}`,
    ...traces.flatMap(traceLines),
  ];
}

function credentialLines<D>(credential: Grant<D, unknown>["credentials"][number]): readonly string[] {
  const { name, provider, options, ttl, deliver } = credential;
  const delivered = deliver === undefined ? "every part under its own name" : JSON.stringify(deliver);
  return [
    `  credential ${name} from ${provider}, for ${ttl / 1000}s`,
    `    scope    ${JSON.stringify(options)}`,
    `    deliver  ${delivered}`,
  ];
}
