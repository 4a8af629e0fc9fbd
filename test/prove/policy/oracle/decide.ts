import type { Identity } from "../../../../src/identity/identity.ts";
import type { Ask } from "../../../../src/policy/decide.ts";
import { isList, isMap, type Plain } from "../written.ts";
import { type Final, type FinalCredential, type FinalStep, type Limits, type Place, unlimited } from "./final.ts";
import { isOpen } from "./time.ts";
import { claimOf, whoHolds } from "./who.ts";

/** What must come out: the whole of a grant, or that and why it is denied. */
export type Expected =
  | { readonly kind: "granted"; readonly grant: ExpectedGrant }
  | { readonly kind: "denied"; readonly code: string };

export interface ExpectedGrant {
  readonly template: string;
  readonly credentials: ReadonlyMap<string, Omit<FinalCredential, "options"> & { readonly options: Plain }>;
  readonly command: readonly Plain[];
  readonly workspace: string;
  readonly network: readonly Place[];
  readonly limits: Limits;
  readonly observed: readonly string[];
}

export function decideByOracle(finals: readonly Final[], ask: Ask): Expected {
  const named = ask.template === undefined ? finals : finals.filter(({ name }) => name === ask.template);
  if (named.length === 0 && ask.template !== undefined) return denied("template-unknown");
  const meant = named.filter(({ whos }) => whos.every((who) => whoHolds(who, ask.identity)));
  const [final, second] = meant;
  if (final === undefined) return denied(ask.template === undefined ? "no-match" : "claim-mismatch");
  if (second !== undefined) return denied("ambiguous");
  if (!final.whens.every((when) => isOpen(when, ask.now))) return denied("outside-hours");
  return ofTemplate(final, ask);
}

function ofTemplate(final: Final, ask: Ask): Expected {
  const step = stepOf(final, ask.step);
  if (typeof step === "string") return denied(step);
  const { credentials: given, run, ...reach } = step;
  const credentials = filledCredentials(given, final, ask.identity);
  if (credentials === undefined) return denied("slot-unfillable");
  const refused = refusedCommand(run, ask.command);
  if (refused !== undefined) return denied(refused);
  const observed = observedAt(final, ask.now);
  const limits = final.byTrust.get(ask.identity.trust) ?? (observed.includes("limits") ? unlimited(final) : final.limits);
  const { name: template } = final;
  return { kind: "granted", grant: { template, credentials, command: run ?? ask.command, ...reach, limits, observed } };
}

/** Or why there is none. */
function stepOf(final: Final, asked: string | undefined): FinalStep | string {
  if (asked !== undefined) return final.steps.get(asked) ?? "step-unknown";
  return final.steps.size > 0 ? "step-required" : wholeRun(final);
}

function observedAt({ observe }: Final, now: number): readonly string[] {
  return observe !== undefined && now < observe.until ? observe.parts : [];
}

/** Where there are no steps, a run has everything. */
function wholeRun({ credentials, network }: Final): FinalStep {
  return { run: undefined, credentials: [...credentials.keys()], network, workspace: "rw" };
}

function refusedCommand(pinned: readonly Plain[] | undefined, asked: readonly string[]): string | undefined {
  if (asked.length === 0) return pinned === undefined ? "usage" : undefined;
  return pinned === undefined || JSON.stringify(pinned) === JSON.stringify(asked) ? undefined : "step-command";
}

function filledCredentials(
  given: readonly string[],
  final: Final,
  identity: Identity,
): ExpectedGrant["credentials"] | undefined {
  const all = given.map((name) => [name, credentialFor(final.credentials.get(name), identity)] as const);
  const filled = all.flatMap(([name, credential]) => (credential === undefined ? [] : [[name, credential] as const]));
  return filled.length === all.length ? new Map(filled) : undefined;
}

function denied(code: string): Expected {
  return { kind: "denied", code };
}

function credentialFor(
  credential: FinalCredential | undefined,
  identity: Identity,
): (Omit<FinalCredential, "options"> & { options: Plain }) | undefined {
  if (credential === undefined) return undefined;
  const options = filled(credential.options, identity);
  return options === undefined ? undefined : { ...credential, options };
}

/** A slot stands in a segment of a path: what is in it stays there. Undefined where a claim does not fit. */
function filled(plain: Plain, identity: Identity): Plain | undefined {
  if (typeof plain === "string") return filledText(plain, identity);
  if (isList(plain)) return plain;
  if (!isMap(plain)) return plain;
  const entries = Object.entries(plain).map(([key, value]) => [key, filled(value, identity)] as const);
  return entries.some(([, value]) => value === undefined)
    ? undefined
    : Object.fromEntries(entries.map(([key, value]) => [key, value ?? ""]));
}

function filledText(text: string, identity: Identity): string | undefined {
  let fits = true;
  const whole = text.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    const value = name === "issuer" || name === "trust" ? undefined : claimOf(name, identity);
    const slot = Number.isSafeInteger(value) ? String(value) : value;
    if (typeof slot !== "string" || slot === "." || slot === ".." || !/^[\w.@=+-]{1,128}$/.test(slot)) fits = false;
    return String(slot);
  });
  return fits ? whole : undefined;
}
