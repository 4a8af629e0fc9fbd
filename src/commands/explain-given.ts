import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import type { Code } from "../errors.ts";
import { explainLines, traceLines, type Words } from "../policy/explain.ts";
import type { Decision, Denial, TemplateTrace } from "../policy/grant.ts";
import { nearest, thereIs } from "../policy/language/nearest.ts";
import type { Policy } from "../policy/policy.ts";
import { isolationText } from "../sandbox/isolation.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Io } from "./io.ts";
import { say } from "./output.ts";

/** What the policy makes of an identity: one decision, or one for each step. */
export interface Given {
  readonly decisions: readonly Decision<Delivery, Isolation>[];
  readonly traces: readonly TemplateTrace[];
}

export const words: Words<Delivery, Isolation> = { delivery: deliveryText, isolation: isolationText };

function deliveryText(delivery: Delivery): string {
  if (delivery === undefined) return "every part under its own name";
  const files = Object.entries(delivery.files).map(([file, part]) => (file === part ? part : `${part} as ${file}`));
  return files.join(", ") || "nothing";
}

/** For a person. A denial's own trace is bounded, since it was made for the ledger: `traces` has them all. */
export function givenLines({ decisions, traces }: Given): readonly string[] {
  return [...decisions.flatMap(decisionLines), ...traces.flatMap(traceLines)];
}

/** One decision, without the lines of `who`. */
export function decisionLines(decision: Decision<Delivery, Isolation>): readonly string[] {
  return explainLines(decision.kind === "denied" ? { ...decision, trace: [] } : decision, words);
}

/** As the run would be refused, or the first of its steps. */
export function refusalOf({ decisions }: Given): Code | undefined {
  return decisions.find((decision) => decision.kind === "denied")?.code;
}

interface Told {
  readonly given: Given;
  readonly policy: Pick<Policy<unknown, unknown>, "templates">;
  readonly flags: { readonly template?: string; readonly step?: string };
}

/** What the decisions themselves do not say: what a slip of the keyboard was meant to be, and who was not asked. */
export function sayBeside(io: Io, config: Config, told: Told): void {
  const { decisions } = told.given;
  const [slip] = decisions.flatMap((decision) => (decision.kind === "denied" ? (slipOf(decision, told) ?? []) : []));
  if (slip !== undefined) say(io, `hint: ${slip}`);
  if (config.last_word !== undefined && decisions.some(({ kind }) => kind === "granted"))
    say(io, "mayfly: the site's last word (`last_word` in mayfly.yaml) was not asked: it can refuse or narrow this");
}

/** Whoever reads the folder may see its names; a runner is told none. */
function slipOf({ code, trace }: Denial, { policy: { templates }, flags }: Told): string | undefined {
  if (code === "template-unknown") return meantOf(flags.template ?? "", [...templates.keys()]);
  if (code !== "step-unknown") return undefined;
  const matched = trace.find((one) => one.matched)?.template ?? "";
  return meantOf(flags.step ?? "", [...(templates.get(matched)?.steps.keys() ?? [])]);
}

function meantOf(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? thereIs(known) : `did you mean ${near}? ${thereIs(known)}`;
}
