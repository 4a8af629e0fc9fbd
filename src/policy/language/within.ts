import { covers, type Endpoint } from "../network.ts";
import { accepts, type Pattern } from "../pattern.ts";
import type { TemplateCredential } from "../policy.ts";
import type { ProviderRoom } from "../rooms.ts";
import { fillSample, Slotted, slotKinds } from "../slots.ts";
import type { Bounds, CredentialBound, NetworkBound } from "./bounds.ts";
import type { Path } from "./document.ts";
import { excesses } from "./isolation.ts";
import { shownEndpoint } from "./narrow.ts";
import { own, plainOf } from "./plain.ts";
import type { Reading } from "./reading.ts";
import type { Shape } from "./shape.ts";

/** A template in its final form, which its bounds are held against. */
export interface Bounded<D, I> {
  readonly shape: Shape<I>;
  readonly credentials: ReadonlyMap<string, TemplateCredential<D>>;
  readonly providers: ReadonlyMap<string, ProviderRoom>;
}

/** What a template has beyond the bounds of one folder above it. `who` and `when` are not checked but added. */
export function checkWithin<D, I>(bounded: Bounded<D, I>, bounds: Bounds<I>, { document, problems }: Reading): void {
  const complain: Complain = (path, message, fix) =>
    void problems.push(document.problem(path, `${message}, by ${bounds.file}`, fix));
  for (const credential of bounded.credentials.values()) {
    checkLife(credential, { bounds, bounded }, complain);
    checkEntries(credential, { bounds, bounded }, complain);
  }
  checkNetworks(bounded.shape, bounds.network, complain);
  const { isolation, written } = bounded.shape;
  const found = excesses({ isolation, sandbox: written.sandbox }, isolation.byTrust.keys(), (one) => bounds.beyond(one));
  for (const { path, message } of found) complain(path, message);
}

type Complain = (path: Path, message: string, fix?: string) => void;

interface Held<D, I> {
  readonly bounds: Bounds<I>;
  readonly bounded: Bounded<D, I>;
}

function checkLife<D, I>(
  { name, provider, options, ttl }: TemplateCredential<D>,
  { bounds, bounded }: Held<D, I>,
  complain: Complain,
): void {
  const at = ["credentials", name, "ttl"];
  if (ttl > bounds.maxTtl) complain(at, `longer than ${bounds.maxTtl / 1_000}s`);
  const ends = bounded.providers.get(provider)?.ends(fillSample(options));
  if (ttl > bounds.unrevocableTtl && ends !== "revoke")
    complain(at, `nobody can end it early, and such a credential lives ${bounds.unrevocableTtl / 1_000}s at most`);
}

function checkEntries<D, I>(credential: TemplateCredential<D>, { bounds, bounded }: Held<D, I>, complain: Complain): void {
  if (bounds.credentials === undefined) return;
  const entries = bounds.credentials.filter(({ provider }) => provider === credential.provider);
  const flaws = entries.map((entry) => [
    ...optionFlaws(credential, entry, bounded),
    ...commandFlaws(credential.name, entry, bounded.shape),
  ]);
  const [nearest] = flaws.toSorted((a, b) => a.length - b.length);
  if (nearest === undefined) {
    const allowed = [...new Set(bounds.credentials.map(({ provider }) => provider))].join(", ");
    complain(
      ["credentials", credential.name, "provider"],
      `nothing of ${credential.provider} can be used here`,
      `there is ${allowed || "nothing"}`,
    );
  }
  for (const { path, message } of nearest ?? []) complain(path, message);
}

interface Flaw {
  readonly path: Path;
  readonly message: string;
}

function optionFlaws<D, I>(
  { name, options, ttl }: TemplateCredential<D>,
  entry: CredentialBound,
  { shape }: Bounded<D, I>,
): readonly Flaw[] {
  const written = plainOf(shape.written.credentials[name]);
  const at = ["credentials", name];
  const unfit = Object.entries(entry.options).filter(([key, patterns]) => {
    const read = own(plainOf(options), key);
    return !fits(own(written, key) ?? read, read, patterns);
  });
  return [
    ...unfit.map(([key, patterns]) => ({ path: [...at, key], message: `not ${patterns.map(patternText).join(" or ")}` })),
    ...(entry.max_ttl !== undefined && ttl > entry.max_ttl
      ? [{ path: [...at, "ttl"], message: `longer than ${entry.max_ttl / 1_000}s` }]
      : []),
  ];
}

function patternText({ written }: { readonly written: unknown }): string {
  return String(written);
}

/** Each of its values, in all that its slots can be filled to. What is no plain text is never within a bound that names it. */
function fits(written: unknown, read: unknown, patterns: CredentialBound["options"][string]): boolean {
  if (Array.isArray(written))
    return written.every((item: unknown, index) => fits(item, Array.isArray(read) ? read[index] : undefined, patterns));
  if (typeof written !== "string" && typeof written !== "boolean" && typeof written !== "number") return false;
  return patterns.some(({ pattern }) => fitsOne(pattern, written, read));
}

function fitsOne(pattern: Pattern, written: string | number | boolean, read: unknown): boolean {
  if (pattern.kind === "literal" || typeof written !== "string") return accepts(pattern, written);
  // `secret/shop/../ops` is not beneath `secret/shop/` for whoever resolves it.
  const winding = /(?:^|[/:])\.{1,2}(?:[/:]|$)/.test(written);
  return !winding && accepts(pattern, spread(written, read));
}

/** A slot whose values may hold a separator is as good as two segments, so that only a `**` stands for it. */
function spread(text: string, read: unknown): string {
  if (!(read instanceof Slotted)) return text;
  const { value } = slotKinds[read.kind];
  return ["a/a", "a:a"].some((sample) => value.test(sample)) ? text.replaceAll(/\{[^}]*\}/g, "$&/$&") : text;
}

function commandFlaws<I>(name: string, { commands }: CredentialBound, { steps }: Shape<I>): readonly Flaw[] {
  if (commands === undefined) return [];
  if (steps.size === 0) return [{ path: ["credentials", name], message: "only steps that pin their command can get it" }];
  return [...steps.values()].flatMap(({ name: step, credentials, run }) => {
    if (!credentials.includes(name)) return [];
    if (run === undefined) return [{ path: ["steps", step, "run"], message: `a step that gets ${name} pins its command` }];
    const listed = commands === "pinned" || commands.some((command) => JSON.stringify(command) === JSON.stringify(run));
    return listed ? [] : [{ path: ["steps", step, "run"], message: `not a command that can get ${name}` }];
  });
}

function checkNetworks<I>({ network, steps }: Shape<I>, bound: NetworkBound | undefined, complain: Complain): void {
  if (bound === undefined) return;
  const check = (at: Path, endpoints: readonly Endpoint[]): void => {
    for (const endpoint of endpoints)
      if (!isWithin(endpoint, bound)) complain(at, `${shownEndpoint(endpoint)} cannot be reached here`);
  };
  check(["network"], network);
  for (const step of steps.values()) check(["steps", step.name, "network"], step.network);
}

function isWithin(endpoint: Endpoint, { endpoints, ofCredentials }: NetworkBound): boolean {
  return (ofCredentials && endpoint.from === "credentials") || endpoints.some((allowed) => covers(allowed, endpoint));
}
