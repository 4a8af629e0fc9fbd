import { z } from "zod";
import type { Delivery } from "../delivery/delivery.ts";
import { anyCommand } from "../policy/decide-any.ts";
import { explained, traceLines } from "../policy/explain.ts";
import type { Decision, TemplateTrace } from "../policy/grant.ts";
import { lastWordLine } from "../policy/opa/last-word.ts";
import { differsFrom } from "../policy/replay/compare.ts";
import type { RecordedRequest } from "../policy/replay/request.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import { claimText } from "./explain-claim.ts";
import { decisionLines } from "./explain-given.ts";
import { eventOf, type Recorded } from "./recorded.ts";

/** What can be said of a recorded request. */
export type Again =
  /** Nobody's identity is on record: it was refused before anybody believed who it was, or its claims were too long to keep. */
  | { readonly kind: "nobody" }
  /** Its policy cannot be had, or read, any more. */
  | { readonly kind: "recorded"; readonly request: RecordedRequest; readonly why: string }
  | {
      readonly kind: "decided";
      readonly request: RecordedRequest;
      readonly decision: Decision<Delivery, Isolation>;
      /** Of every template of that policy. */
      readonly templates: readonly TemplateTrace[];
    };

const line = z.object({ line: z.string(), held: z.boolean(), expected: z.string(), found: z.string() });
const trace = z.array(z.object({ template: z.string(), matched: z.boolean(), lines: z.array(line) }));
const said = z.object({
  message: z.string().optional(),
  reason: z.string().optional(),
  code: z.string().optional(),
  policy: z.string().nullish(),
  lastWord: z.string().nullish(),
  trace: trace.catch([]).optional(),
});

/** For a person: what was recorded, whose it was, and what its policy says of it. */
export function recordedLines(entry: Recorded, again: Again): readonly string[] {
  const event = eventOf(said, entry) ?? {};
  return [
    ...outcomeLines(entry, event),
    ...(again.kind === "nobody" ? [] : requestLines(again.request)),
    ...(again.kind === "decided" ? decidedLines(event, again) : onlyRecorded(event, again)),
  ];
}

export function recordedJson(entry: Recorded, again: Again): unknown {
  const event = eventOf(said, entry) ?? {};
  const { index, time, kind } = entry;
  const decided = again.kind === "decided";
  return {
    entry: { index, time: new Date(time).toISOString(), kind, event: entry.event },
    identity: again.kind === "nobody" ? null : identityOf(again.request),
    policy: event.policy ?? null,
    lastWord: lastWordOf(event) ?? null,
    decidedAgain: decided,
    why: again.kind === "recorded" ? again.why : null,
    asRecorded: decided ? agrees(again) : null,
    decision: decided ? explained(again.decision) : null,
    templates: decided ? again.templates : (event.trace ?? []),
  };
}

function identityOf({ identity: { issuer, subject, workload, job, trust, claims } }: RecordedRequest): unknown {
  return { issuer, subject, workload, job, trust, claims };
}

type Said = z.output<typeof said>;

interface LastWordSaid {
  readonly said: "allowed" | "refused" | "gave no answer";
  /** The policy's own, where it refused. */
  readonly reason: string | null;
  readonly decision: string | null;
}

/** Undefined where the site has none, or where it was not asked. */
function lastWordOf({ code, lastWord, trace: templates = [] }: Said): LastWordSaid | undefined {
  const decision = lastWord ?? null;
  if (code === "last-word-unavailable") return { said: "gave no answer", reason: null, decision };
  if (code !== "overruled") return decision === null ? undefined : { said: "allowed", reason: null, decision };
  const line = templates.flatMap(({ lines }) => lines).find((one) => one.line === lastWordLine);
  return { said: "refused", reason: line?.found ?? null, decision };
}

function lastWordText({ said, reason, decision }: LastWordSaid): string {
  return `${said}${reason === null ? "" : `: ${JSON.stringify(reason)}`}${decision === null ? "" : `  (${decision})`}`;
}

function outcomeLines({ kind, time, index }: Recorded, event: Said): readonly string[] {
  const { message, reason, code, policy } = event;
  const lastWord = lastWordOf(event);
  return [
    kind === "denied"
      ? `denied: ${message ?? ""}`
      : `${kind === "observed" ? "observed, nothing was given: " : "granted: "}${reason ?? ""}`,
    ...(code === undefined ? [] : [`  code    ${code}`]),
    ...(typeof policy === "string" ? [`  policy  ${policy}`] : []),
    ...(lastWord === undefined ? [] : [`  last word  ${lastWordText(lastWord)}`]),
    `  when    ${new Date(time).toISOString()}, entry ${index}`,
  ];
}

function requestLines({ identity, asked, step }: RecordedRequest): readonly string[] {
  const { issuer, subject, workload, job, trust, claims } = identity;
  const wanted = asked === undefined ? "no certain template" : `template ${asked}`;
  return [
    "who asked:",
    `  issuer    ${issuer}`,
    `  subject   ${subject}`,
    `  workload  ${workload}`,
    `  job       ${job}`,
    `  trust     ${trust}`,
    ...Object.entries(claims).map(([claim, value]) => `  claim     ${claimText(claim, value)}`),
    `  asked for ${wanted}${step === undefined ? "" : `, step ${step}`}`,
  ];
}

function decidedLines(event: Said, again: Extract<Again, { kind: "decided" }>): readonly string[] {
  const { decision, templates } = again;
  return [
    headOf(event, again),
    ...decisionLines(decision),
    ...(decision.kind === "granted" && decision.command === anyCommand
      ? ["commands are not recorded: which one it was cannot be told"]
      : []),
    ...templates.flatMap(traceLines),
  ];
}

/** What the templates grant must not read as what came of it, where something else had its say too. */
function headOf(event: Said, again: Extract<Again, { kind: "decided" }>): string {
  if (!agrees(again))
    return "NOT AS RECORDED when decided again by the same policy (mayfly.yaml or Mayfly itself has changed):";
  const alone = again.request.outcome.kind === "refused" || lastWordOf(event) !== undefined;
  return alone ? "the templates alone would give:" : "decided again by the same policy:";
}

function onlyRecorded({ trace: templates = [] }: Said, again: Exclude<Again, { kind: "decided" }>): readonly string[] {
  return [
    ...(again.kind === "recorded" ? `not decided again: ${again.why}`.split("\n") : []),
    ...(templates.length === 0 ? [] : ["as it was recorded then:", ...templates.flatMap(traceLines)]),
  ];
}

/** What something else refused, or what hung on the command, cannot differ. */
function agrees({ request, decision }: Extract<Again, { kind: "decided" }>): boolean {
  return differsFrom(request, decision) === undefined;
}
