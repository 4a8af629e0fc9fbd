import { isList, listOf, mapOf, type Plain, type Written, type WrittenFile } from "../written.ts";
import {
  amount,
  boundsOver,
  type Final,
  type FinalCredential,
  finalForms,
  type Limits,
  limitsOf,
  type Place,
  placesOf,
  unlimited,
} from "./final.ts";

/** Why these files must not load: what is beyond a base or a folder's bounds, one line each. Empty where they must. */
export function beyond(files: readonly WrittenFile[]): readonly string[] {
  const finals = finalForms(files);
  if (finals.length === 0) return ["nobody could have anything"];
  return finals.flatMap((final) => {
    const base = baseOf(final, files);
    return [
      ...[...final.credentials]
        .filter(([, { ttl }]) => ttl > final.longest)
        .map(([name]) => `${final.name} has ${name} for longer than its max_ttl`),
      ...beyondAll(final, files),
      ...(base === undefined ? [] : moreThan(final, base).map((what) => `${final.name} has ${what} that its base has not`)),
    ];
  });
}

/** What is beyond the bounds of its folder or of one above it. */
export function beyondAll(final: Final, files: readonly WrittenFile[]): readonly string[] {
  return boundsOver(final.file, files).flatMap((bound) => beyondBounds(final, bound, files));
}

/** What a template extends, as it would be alone, with the child's variables in it. */
export function baseOf({ file, name }: Final, files: readonly WrittenFile[]): Final | undefined {
  const child = files.find((other) => other.file === file)?.content ?? {};
  const base = files.find(({ content }) => content["template"] !== undefined && content["template"] === child["extends"]);
  if (base === undefined) return undefined;
  const each = child["for_each"] === undefined ? {} : { for_each: child["for_each"] };
  const alone: WrittenFile = { ...base, content: { who: { issuer: "nobody" }, ...base.content, ...each } };
  const forms = finalForms([alone, ...files.filter(({ content }) => content["set"] !== undefined)]);
  return forms.find((one) => name.slice(name.lastIndexOf("/")) === one.name.slice(one.name.lastIndexOf("/"))) ?? forms[0];
}

/** What `inner` has and `outer` has not. */
export function moreThan(inner: Final, outer: Final): readonly string[] {
  const steps = [...inner.steps].flatMap(([name, step]) => {
    const theirs = outer.steps.get(name);
    if (theirs === undefined) return [`step ${name}`];
    const pinned = theirs.run === undefined || JSON.stringify(theirs.run) === JSON.stringify(step.run);
    return [
      ...(step.credentials.every((one) => theirs.credentials.includes(one)) ? [] : [`a credential of step ${name}`]),
      ...outside(step.network, theirs.network),
      ...(widths.indexOf(step.workspace) <= widths.indexOf(theirs.workspace) ? [] : [`a workspace of step ${name}`]),
      ...(pinned ? [] : [`a command of step ${name}`]),
    ];
  });
  const credentials = [...inner.credentials].filter(([name, one]) => !isPartOf(one, outer.credentials.get(name)));
  const trusts = new Set(["", ...inner.byTrust.keys(), ...outer.byTrust.keys()]);
  const limits = [...trusts].flatMap((trust) =>
    aboveLimits(inner.byTrust.get(trust) ?? inner.limits, outer.byTrust.get(trust) ?? outer.limits),
  );
  return [
    ...steps,
    ...credentials.map(([name]) => `credential ${name}`),
    ...outside(inner.network, outer.network),
    ...limits,
    ...observedMore(inner, outer),
  ];
}

const widths = ["read-only", "overlay", "rw"];

function isPartOf(inner: FinalCredential, outer: FinalCredential | undefined): boolean {
  if (outer === undefined || inner.ttl > outer.ttl) return false;
  const scope = ({ provider, options, deliver }: FinalCredential): string =>
    JSON.stringify([provider, keysOf(options), keysOf(options).map((key) => options[key]), deliver]);
  return scope(inner) === scope(outer);
}

function keysOf(options: Written): readonly string[] {
  return Object.keys(options).toSorted((a, b) => (a < b ? -1 : 1));
}

function observedMore({ observe: inner }: Final, { observe: outer }: Final): readonly string[] {
  if (inner === undefined) return [];
  const less = outer !== undefined && inner.until <= outer.until && inner.parts.every((part) => outer.parts.includes(part));
  return less ? [] : ["something observed"];
}

/** Label by label; `*` is any one. */
export function isReached({ host, port }: Place, by: readonly Place[]): boolean {
  const labels = host.split(".");
  return by.some((other) => {
    const theirs = other.host.split(".");
    return (
      other.port === port &&
      theirs.length === labels.length &&
      theirs.every((label, nth) => label === "*" || label === labels[nth])
    );
  });
}

function outside(inner: readonly Place[], outer: readonly Place[]): readonly string[] {
  return inner.filter((place) => !isReached(place, outer)).map(({ host, port }) => `${host}:${port}`);
}

export function aboveLimits(inner: Limits, outer: Limits): readonly string[] {
  const counted = (["memory", "cpus", "pids", "timeout"] as const).filter((name) => inner[name] > outer[name]);
  const passed = inner.pass.filter((name) => !outer.pass.some((other) => isPassed(name, other)));
  return [...counted, ...passed, ...inner.tolerate.filter((name) => !outer.tolerate.includes(name))];
}

function isPassed(name: string, by: string): boolean {
  return by.endsWith("*") ? name.startsWith(by.slice(0, -1)) : name === by;
}

function beyondBounds(final: Final, bound: Written, files: readonly WrittenFile[]): readonly string[] {
  const credentials = [...final.credentials].flatMap(([name, one]) =>
    beyondFor(name, one, { final, bound }).map((what) => `credential ${name} ${what}`),
  );
  const reached = [...final.network, ...[...final.steps.values()].flatMap(({ network }) => network)];
  const anywhere = final.observe?.parts.includes("network") === true ? ["a network that is only watched"] : [];
  const network =
    bound["network"] === undefined ? [] : [...anywhere, ...outside(reached, placesOf(bound["network"], [], files))];
  const hosts = final.observe?.parts.includes("limits") === true ? [unlimited(final)] : [];
  const limits = [final.limits, ...hosts, ...final.byTrust.values()].flatMap((one) => aboveBound(one, bound));
  return [...credentials, ...network, ...limits].map((what) => `${final.name} is beyond its bounds by ${what}`);
}

interface Bounded {
  readonly final: Final;
  readonly bound: Written;
}

function beyondFor(name: string, credential: FinalCredential, { final, bound }: Bounded): readonly string[] {
  const { max_ttl: longest, unrevocable, credentials } = bound;
  const least = mapOf(unrevocable)["max_ttl"];
  const entries = credentials === undefined ? undefined : listOf(credentials).map(mapOf);
  return [
    ...(longest !== undefined && credential.ttl > amount(longest) ? ["lives too long"] : []),
    ...(least !== undefined && !isRevocable(credential) && credential.ttl > amount(least) ? ["cannot be revoked"] : []),
    ...(entries !== undefined && !entries.some((entry) => fits(name, credential, { entry, final })) ? ["fits no entry"] : []),
  ];
}

export function isRevocable({ provider, options }: FinalCredential): boolean {
  return provider === "vault-main" && String(options["path"]).includes("/creds/");
}

function fits(
  name: string,
  credential: FinalCredential,
  { entry, final }: { readonly entry: Written; readonly final: Final },
): boolean {
  const { provider, options, max_ttl: longest, commands } = entry;
  if (provider !== credential.provider || (longest !== undefined && credential.ttl > amount(longest))) return false;
  const named = options === undefined || Object.keys(credential.options).every((key) => Object.hasOwn(mapOf(options), key));
  const scoped = Object.entries(mapOf(options)).every(([key, globs]) => isCovered(credential.options[key], listOf(globs)));
  return named && scoped && (commands === undefined || isPinned(name, final, commands));
}

/** Whatever its slots come to hold: a few values stand for all, the longest and the oddest among them. */
function isCovered(text: Plain | undefined, globs: readonly Plain[]): boolean {
  if (typeof text !== "string") return false;
  const fillings = ["a", "zz-9", "A.b", "0", "x@y=z", "~".replace("~", "q".repeat(128))];
  return fillings.every((filling) => {
    const whole = text.replaceAll(/\{[a-z_]+\}/g, filling);
    return globs.some((glob) => asRegExp(String(glob)).test(whole));
  });
}

function asRegExp(glob: string): RegExp {
  const open = glob.endsWith("**");
  const pieces = (open ? glob.slice(0, -2) : glob)
    .split("*")
    .map((piece) => piece.replaceAll(/[.+?^$()|[\]{}\\]/g, String.raw`\$&`));
  return new RegExp(`^${pieces.join("[^/:]*")}${open ? ".*" : ""}$`, "s");
}

/** A run without steps gets every credential, and whatever command was asked for. */
function isPinned(name: string, { steps }: Final, commands: Plain): boolean {
  if (steps.size === 0) return false;
  const pinned = [...steps.values()].filter(({ credentials }) => credentials.includes(name)).map(({ run }) => run);
  const allowed = isList(commands) ? commands.map((command) => JSON.stringify(command)) : undefined;
  return pinned.every((run) => run !== undefined && (allowed === undefined || allowed.includes(JSON.stringify(run))));
}

function aboveBound(limits: Limits, bound: Written): readonly string[] {
  const { sandbox, tolerate } = bound;
  const written = mapOf(sandbox);
  const most = limitsOf(written, tolerate);
  const env = written["env"] === undefined ? limits.pass : most.pass;
  const outer: Limits = {
    memory: written["memory"] === undefined ? Number.POSITIVE_INFINITY : most.memory,
    cpus: written["cpus"] === undefined ? Number.POSITIVE_INFINITY : most.cpus,
    pids: written["pids"] === undefined ? Number.POSITIVE_INFINITY : most.pids,
    timeout: written["timeout"] === undefined ? Number.POSITIVE_INFINITY : most.timeout,
    pass: env,
    tolerate: tolerate === undefined ? limits.tolerate : listOf(tolerate).map(String),
  };
  return aboveLimits(limits, outer);
}
