import { limitsOfGrant } from "./agreement.ts";
import { type Final, type FinalCredential, type FinalStep, finalForms } from "./oracle/final.ts";
import { baseOf, beyondAll, isReached, moreThan } from "./oracle/within.ts";
import type { SiteDecision } from "./subject.ts";
import { mapOf, type Plain, type WrittenFile } from "./written.ts";

type SiteGrant = Extract<SiteDecision, { kind: "granted" }>;

/**
 * What a grant holds beyond the template's own text, its base's, or the bounds of a folder above it; undefined where it stays within all of
 * them. The grant itself is measured, whatever the template's final form was thought to be.
 */
export function morePrecisely(grant: SiteGrant, files: readonly WrittenFile[]): string | undefined {
  const final = finalForms(files).find(({ name }) => name === grant.template);
  if (final === undefined) return "no template gives it";
  const measured = asFinal(grant, final);
  const astray = grant.network.filter(
    (place) => !isReached(place, final.steps.get(grant.step ?? "")?.network ?? final.network),
  );
  const base = baseOf(final, files);
  const excess = [
    ...moreThan(measured, filledAs(measured, final)),
    ...(base === undefined ? [] : moreThan(measured, filledAs(measured, base))),
    ...beyondAll(measured, files),
  ];
  return excess[0] ?? astray[0]?.host;
}

/** The grant in a template's words, so that it can be measured like one. */
function asFinal(grant: SiteGrant, { name, file, limits, byTrust, steps }: Final): Final {
  const credentials = new Map(
    grant.credentials.map((one): [string, FinalCredential] => [
      one.name,
      { ...one, options: optionsOf(one.options), deliver: undefined },
    ]),
  );
  const network = grant.network.map(({ host, port }) => ({ host, port }));
  const pinned = steps.get(grant.step ?? "")?.run === undefined ? undefined : grant.command;
  const step: FinalStep = { run: pinned, credentials: [...credentials.keys()], network, workspace: grant.workspace };
  const apart = byTrust.has(grant.identity.trust);
  const own = isLoosened(grant) && !apart ? limits : limitsOfGrant(grant);
  return {
    name,
    file,
    whos: [],
    whens: [],
    credentials,
    steps: new Map(grant.step === undefined ? [] : [[grant.step, step]]),
    network: grant.step === undefined ? network : [],
    limits: apart ? limits : own,
    byTrust: apart ? new Map([...byTrust, [grant.identity.trust, own]]) : byTrust,
    observe: undefined,
    longest: Number.POSITIVE_INFINITY,
  };
}

function isLoosened({ observe }: SiteGrant): boolean {
  return observe?.parts.includes("limits") === true;
}

function optionsOf(options: unknown): Record<string, Plain> {
  const known = Object.entries(mapOf(options as Plain)).filter(
    ([key, value]) => value !== undefined && !(key === "kind" && /^(?:kv|dynamic)$/.test(String(value))),
  );
  return Object.fromEntries(known);
}

/** A template with its slots filled as the grant has them, where each filling stays in the segment of its slot; what is watched is no part of it. */
function filledAs(measured: Final, final: Final): Final {
  const credentials = [...final.credentials].map(([name, one]) => {
    const given = measured.credentials.get(name)?.options ?? {};
    const options = Object.entries(one.options).map(
      ([key, text]) => [key, isFilled(text, given[key]) ? (given[key] ?? text) : text] as const,
    );
    return [name, { ...one, deliver: undefined, options: Object.fromEntries(options) }] as const;
  });
  return { ...final, credentials: new Map(credentials) };
}

function isFilled(text: Plain, given: Plain | undefined): boolean {
  if (typeof text !== "string" || typeof given !== "string") return false;
  const pieces = text.split(/\{[a-z_]+\}/).map((piece) => piece.replaceAll(/[.+?^$()|[\]\\*]/g, String.raw`\$&`));
  return new RegExp(`^${pieces.join("(?!\\.{1,2}(?:/|$))[^/%\\\\\\s*?]+")}$`).test(given);
}
