import { durationText } from "../../duration-text.ts";
import type { Endpoint } from "../network.ts";
import { accepts, type Pattern } from "../pattern.ts";
import type { TemplateCredential } from "../policy.ts";
import type { Excess, IsolationBounds, ProviderRoom } from "../rooms.ts";
import { fillSample, Slotted } from "../slots.ts";
import type { BoundPattern, Bounds, CredentialBound, NetworkBound } from "./bounds.ts";
import type { Path } from "./document.ts";
import { excesses } from "./isolation.ts";
import { shownEndpoint } from "./narrow.ts";
import { own, plainOf } from "./plain.ts";
import type { Reading } from "./reading.ts";
import type { Shape } from "./shape.ts";
import { commonKeys } from "./template.ts";

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
  checkSandbox(bounded.shape, bounds.sandbox, complain);
}

function checkSandbox<I>({ isolation, unlimited, written }: Shape<I>, bounds: IsolationBounds<I>, complain: Complain): void {
  const find = (one: I): readonly Excess[] => bounds.beyond(one);
  for (const { path, message } of excesses({ isolation, sandbox: written.sandbox }, isolation.byTrust.keys(), find))
    complain(path, message);
  if (unlimited === undefined) return;
  const said = new Set(find(isolation.base).map(({ key }) => key));
  for (const { key, message } of find(unlimited.base).filter((excess) => !said.has(excess.key)))
    complain(
      ["observe", "parts"],
      `limits that are only observed are the host's own: ${key}, ${message}`,
      "take limits out of it",
    );
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
  if (ttl > bounds.maxTtl) complain(at, `longer than ${durationText(bounds.maxTtl)}`);
  const ends = bounded.providers.get(provider)?.ends(fillSample(options));
  if (ttl > bounds.unrevocableTtl && ends !== "revoke")
    complain(at, `nobody can end it early, and such a credential lives ${durationText(bounds.unrevocableTtl)} at most`);
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
  const named = entry.options ?? {};
  const unfit = Object.entries(named).filter(([key, patterns]) => {
    const read = own(plainOf(options), key);
    return !fits(own(written, key) ?? read, read, patterns);
  });
  const more = Object.keys(written).filter((key) => !Object.hasOwn(named, key) && !commonKeys.includes(key));
  return [
    ...(entry.options === undefined ? [] : more).map((key) => ({
      path: [...at, key],
      message: `only ${Object.keys(named).join(", ") || "what every credential has"} can be said here`,
    })),
    ...unfit.map(([key, patterns]) => ({
      path: [...at, key],
      message: `not ${patterns.map(({ written: text }) => JSON.stringify(text)).join(" or ")}`,
    })),
    ...(entry.max_ttl !== undefined && ttl > entry.max_ttl
      ? [{ path: [...at, "ttl"], message: `longer than ${durationText(entry.max_ttl)}` }]
      : []),
  ];
}

/** Each of its values, in all that its slots can be filled to. What is no plain text, or nothing at all, is never within a bound that names it. */
function fits(written: unknown, read: unknown, patterns: readonly BoundPattern[]): boolean {
  if (Array.isArray(written))
    return (
      written.length > 0 &&
      written.every((item: unknown, index) => fits(item, Array.isArray(read) ? read[index] : undefined, patterns))
    );
  if (typeof written !== "string" && typeof written !== "boolean" && typeof written !== "number") return false;
  return patterns.some(({ pattern }) => fitsOne(pattern, written, read));
}

function fitsOne(pattern: Pattern, written: string | number | boolean, read: unknown): boolean {
  if (pattern.kind === "literal" || typeof written !== "string") return accepts(pattern, written);
  // `secret/shop/../ops` is not beneath `secret/shop/` for whoever resolves it.
  if (/(?:^|[/:])\.{1,2}(?:[/:]|$)/.test(written)) return false;
  if (!(read instanceof Slotted)) return !/[{}]/.test(written) && accepts(pattern, written);
  const [start = ""] = written.split("{", 1);
  // What such a slot is filled to may be any number of segments, from the one on in which it stands.
  if (read.crosses) return pattern.glob.open && accepts(pattern, start.slice(0, /[^/:]*$/.exec(start)?.index));
  return accepts(pattern, written.replaceAll(/\{[^}]*\}/g, anyValue));
}

/** No pattern has it, so that only a `*` stands for what a slot is filled to, and never the slot's own name. */
const anyValue = "\0";

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

function checkNetworks<I>({ network, steps, observe }: Shape<I>, bound: NetworkBound | undefined, complain: Complain): void {
  if (bound === undefined) return;
  if (observe?.parts.includes("network") === true)
    complain(["observe", "parts"], "a network that is only observed lets anything through", "take network out of it");
  const check = (at: Path, endpoints: readonly Endpoint[]): void => {
    for (const endpoint of endpoints)
      if (!isWithin(endpoint, bound)) complain(at, `${shownEndpoint(endpoint)} cannot be reached here`);
  };
  check(["network"], network);
  for (const step of steps.values()) check(["steps", step.name, "network"], step.network);
}

function isWithin(endpoint: Endpoint, bound: NetworkBound): boolean {
  return (bound.ofCredentials && endpoint.from === "credentials") || bound.covers(endpoint);
}
