import { BrokerError, type Code } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Instant } from "../time.ts";
import {
  type Decision,
  type Denial,
  type Grant,
  type GrantedCredential,
  longestTrace,
  type Observe,
  type TemplateTrace,
} from "./grant.ts";
import { isWithin } from "./hours.ts";
import { failedClaims, lineName, type Meant, matchAt, matches, shown, valueOf } from "./match.ts";
import type { Policy, Step, Template } from "./policy.ts";
import { fill } from "./slots.ts";

export interface Ask {
  readonly identity: Identity;
  /** By its name; undefined means: the one that is meant for this identity. */
  readonly template: string | undefined;
  readonly step: string | undefined;
  /** What the runner wants to run; empty means: the step's own. */
  readonly command: readonly string[];
  readonly now: Instant;
}

/** The templates that a denial tells of. */
interface Trail<D, I> {
  templates: readonly Template<D, I>[];
}

/** What this identity may have, now. Pure, and it never throws: whatever goes wrong in here denies. */
export function decide<D, I>(policy: Policy<D, I>, ask: Ask): Decision<D, I> {
  return decided(policy, ask, inHours);
}

/** The same for a run that has begun: its hours were asked then, and their end ends no job. */
export function decideBegun<D, I>(policy: Policy<D, I>, ask: Ask): Decision<D, I> {
  return decided(policy, ask, () => undefined);
}

/** Throws `outside-hours`. */
type Timely = (template: Template<unknown, unknown>, now: Instant) => void;

function decided<D, I>(policy: Policy<D, I>, ask: Ask, timely: Timely): Decision<D, I> {
  const trail: Trail<D, I> = { templates: [] };
  try {
    const template = choose(policy, ask, trail);
    timely(template, ask.now);
    return grant(policy, template, ask);
  } catch (error) {
    const { code, message } = error instanceof BrokerError ? error : new BrokerError("internal");
    return { kind: "denied", code, message, policy: policy.digest, trace: traceOf(trail, ask) } satisfies Denial;
  }
}

function traceOf<D, I>({ templates }: Trail<D, I>, ask: Ask): readonly TemplateTrace[] {
  try {
    return templates.slice(0, longestTrace).map((template) => matchAt(template, ask));
  } catch {
    return [];
  }
}

/** The one template that is meant: by who asks and never by when, since a clock must not choose between two. Throws the denial's code. */
function choose<D, I>(policy: Policy<D, I>, { identity, template: asked }: Ask, trail: Trail<D, I>): Template<D, I> {
  trail.templates = asked === undefined ? policy.candidates(identity) : [named(policy, asked)];
  const matching = trail.templates.filter((template) => matches(template, identity));
  const [only, second] = matching;
  if (only === undefined) throw unmatched(trail.templates, asked, identity);
  trail.templates = matching;
  if (second !== undefined) throw denied("ambiguous", `more than one template is meant for this identity: ${listed(matching)}`);
  return only;
}

const longestList = 10;

function listed(matching: readonly { readonly name: string }[]): string {
  const names = matching.slice(0, longestList).map(({ name }) => name);
  return `${names.join(", ")}${matching.length > longestList ? ` and ${matching.length - longestList} more` : ""}`;
}

function denied(code: Code, message: string): BrokerError {
  return new BrokerError(code, message);
}

function named<D, I>(policy: Policy<D, I>, name: string): Template<D, I> {
  const template = policy.templates.get(name);
  if (template === undefined) throw denied("template-unknown", `no template is called ${JSON.stringify(name.slice(0, 128))}`);
  return template;
}

/** The job learns its own values and never the expected ones, and only of a template that it named. */
function unmatched(tried: readonly Meant[], asked: string | undefined, identity: Identity): BrokerError {
  const [only] = tried;
  const claims = only === undefined ? [] : failedClaims(only, identity);
  if (asked === undefined || claims.length === 0) return new BrokerError("no-match");
  const found = claims.map((claim) => {
    const value = valueOf(claim, identity);
    return value === undefined ? `${claim} is absent from this job's token` : `${claim} of this job is ${shown(value)}`;
  });
  return denied("claim-mismatch", `${found.join(" and ")}, which template ${asked} does not accept`);
}

/** The caller hears no hours: they say when somebody looks. */
function inHours({ name, when }: Template<unknown, unknown>, now: Instant): void {
  if (!when.every((hours) => isWithin(hours, now)))
    throw denied("outside-hours", `template ${name} cannot be used at this time`);
}

function stepOf<D, I>({ name, steps }: Template<D, I>, asked: string | undefined): Step | undefined {
  if (asked === undefined) {
    if (steps.size > 0) throw denied("step-required", `template ${name} has steps, name one: ${[...steps.keys()].join(", ")}`);
    return undefined;
  }
  const step = steps.get(asked);
  if (step === undefined) throw denied("step-unknown", `template ${name} has no step ${JSON.stringify(asked.slice(0, 128))}`);
  return step;
}

function grant<D, I>(policy: Policy<D, I>, template: Template<D, I>, ask: Ask): Grant<D, I> {
  const step = stepOf(template, ask.step);
  const names = step?.credentials ?? [...template.credentials.keys()];
  const observe = template.observe !== undefined && ask.now < template.observe.until ? template.observe : undefined;
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
    network: step?.network ?? template.network,
    isolation: isolationOf(template, observe, ask.identity),
    observe,
  };
}

function isolationOf<D, I>(template: Template<D, I>, observe: Observe | undefined, { trust }: Identity): I {
  const loosened = observe?.parts.includes("limits") === true ? template.unlimited : undefined;
  const { base, byTrust } = loosened ?? template.isolation;
  return byTrust.get(trust) ?? base;
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
