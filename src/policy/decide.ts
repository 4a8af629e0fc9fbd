import { BrokerError, type Code } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Instant } from "../time.ts";
import type { Policy, Template } from "./compile.ts";
import type { Decision, Denial, Grant, GrantedCredential, TemplateTrace } from "./grant.ts";
import { lineName, match } from "./match.ts";
import { fill } from "./slots.ts";
import type { Step } from "./step.ts";

export interface Ask {
  readonly identity: Identity;
  /** By its name; undefined means: the one that is meant for this identity. */
  readonly template: string | undefined;
  readonly step: string | undefined;
  /** What the runner wants to run; empty means: the step's own. */
  readonly command: readonly string[];
  readonly now: Instant;
}

/** One template that was tried. */
interface Tried<D, I> {
  readonly template: Template<D, I>;
  readonly trace: TemplateTrace;
}

/** What this identity may have. Pure, and it never throws: whatever goes wrong in here denies. */
export function decide<D, I>(policy: Policy<D, I>, ask: Ask): Decision<D, I> {
  const tried: Tried<D, I>[] = [];
  try {
    const template = choose(policy, ask, tried);
    const step = stepOf(template, ask);
    return grant(policy, template, step, ask);
  } catch (error) {
    return denial(error, policy.digest, tried);
  }
}

function denial<D, I>(error: unknown, policy: string, tried: readonly Tried<D, I>[]): Denial {
  const { code, message } = error instanceof BrokerError ? error : new BrokerError("internal");
  return { kind: "denied", code, message, policy, trace: tried.map(({ trace }) => trace) };
}

/** The one template that is meant; each one tried is added to `tried`. Throws the denial's code. */
function choose<D, I>(policy: Policy<D, I>, ask: Ask, tried: Tried<D, I>[]): Template<D, I> {
  const candidates = ask.template === undefined ? [...policy.templates.values()] : [named(policy, ask.template)];
  tried.push(...candidates.map((template) => ({ template, trace: match(template, ask.identity) })));
  const matching = tried.filter(({ trace }) => trace.matched).map(({ template }) => template);
  const [only, second] = matching;
  if (only === undefined) throw unmatched(tried, ask.template);
  if (second !== undefined)
    throw denied(
      "ambiguous",
      `more than one template is meant for this identity: ${matching.map(({ name }) => name).join(", ")}`,
    );
  return only;
}

function denied(code: Code, message: string): BrokerError {
  return new BrokerError(code, message);
}

function named<D, I>(policy: Policy<D, I>, name: string): Template<D, I> {
  const template = policy.templates.get(name);
  if (template === undefined) throw denied("template-unknown", `no template is called ${JSON.stringify(name.slice(0, 128))}`);
  return template;
}

/** The job learns its own value and never the expected one, and only of a template that it named. */
function unmatched<D, I>(tried: readonly Tried<D, I>[], asked: string | undefined): BrokerError {
  const failed = tried[0]?.trace.lines.at(-1);
  if (asked === undefined || failed === undefined) return new BrokerError("no-match");
  const claim = failed.line.replace(/^not /, "");
  const value = failed.found === "absent" ? "is absent from this job's token" : `of this job is ${failed.found}`;
  return denied("claim-mismatch", `${claim} ${value}, which template ${asked} does not accept`);
}

function stepOf<D, I>(template: Template<D, I>, ask: Ask): Step | undefined {
  const { name, steps } = template;
  if (ask.step === undefined) {
    if (steps.size > 0) throw denied("step-required", `template ${name} has steps, name one: ${[...steps.keys()].join(", ")}`);
    return undefined;
  }
  const step = steps.get(ask.step);
  if (step === undefined)
    throw denied("step-unknown", `template ${name} has no step ${JSON.stringify(ask.step.slice(0, 128))}`);
  return step;
}

function grant<D, I>(policy: Policy<D, I>, template: Template<D, I>, step: Step | undefined, ask: Ask): Grant<D, I> {
  const names = step?.credentials ?? [...template.credentials.keys()];
  return {
    kind: "granted",
    template: template.name,
    policy: policy.digest,
    step: step?.name,
    reason: `template ${template.name} matched on ${template.who.map(lineName).join(", ")}`,
    identity: ask.identity,
    credentials: names.map((name) => granted(template, name, ask.identity)),
    command: commandOf(template.name, step, ask.command),
    workspace: step?.workspace ?? "rw",
    isolation: template.isolation,
  };
}

function granted<D, I>(template: Template<D, I>, name: string, identity: Identity): GrantedCredential<D> {
  const credential = template.credentials.get(name);
  if (credential === undefined) throw new BrokerError("internal");
  return { ...credential, options: fill(credential.options, identity.claims) };
}

/** A pinned command may be left out or repeated exactly: a runner that asks for another one is not running this step. */
function commandOf(template: string, step: Step | undefined, asked: readonly string[]): readonly string[] {
  const pinned = step?.run;
  if (pinned === undefined) {
    if (asked.length === 0) throw denied("usage", "no command was given, and the template pins none");
    return asked;
  }
  const same = asked.length === pinned.length && asked.every((argument, index) => argument === pinned[index]);
  if (asked.length > 0 && !same)
    throw denied("step-command", `template ${template} pins another command for step ${step?.name ?? ""}`);
  return pinned;
}
