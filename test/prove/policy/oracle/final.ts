import { endpointsOf } from "../site.ts";
import { isList, isMap, listOf, mapOf, type Plain, type Written, type WrittenFile } from "../written.ts";

/** A template in its final form, by what the language says of `extends`, `for_each`, network sets and bounds. */
export interface Final {
  readonly name: string;
  readonly file: string;
  readonly whos: readonly Written[];
  readonly whens: readonly Plain[];
  readonly credentials: ReadonlyMap<string, FinalCredential>;
  readonly steps: ReadonlyMap<string, FinalStep>;
  readonly network: readonly Place[];
  readonly limits: Limits;
  readonly byTrust: ReadonlyMap<string, Limits>;
  readonly observe: { readonly parts: readonly string[]; readonly until: number } | undefined;
  /** Its own `max_ttl`, or its base's where that is less. */
  readonly longest: number;
}

export interface FinalCredential {
  readonly provider: string;
  /** What is left of its keys, slots not filled. */
  readonly options: Written;
  readonly ttl: number;
  readonly wait: number;
  readonly optional: boolean;
  readonly deliver: Plain | undefined;
}

export interface FinalStep {
  readonly run: readonly Plain[] | undefined;
  readonly credentials: readonly string[];
  readonly network: readonly Place[];
  readonly workspace: string;
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface Limits {
  readonly memory: number;
  readonly cpus: number;
  readonly pids: number;
  readonly timeout: number;
  readonly pass: readonly string[];
  readonly tolerate: readonly string[];
}

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1e3,
  m: 6e4,
  h: 36e5,
  d: 864e5,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

/** `15m` and `2GiB`, in milliseconds and bytes. */
export function amount(text: Plain | undefined): number {
  const [, count = "", unit = ""] = /^(\d+)(\w+)$/.exec(String(text)) ?? [];
  return Number(count) * (units[unit] ?? Number.NaN);
}

/** Every template that gives something to somebody. */
export function finalForms(files: readonly WrittenFile[]): readonly Final[] {
  const templates = files.filter(({ content }) => content["template"] !== undefined);
  return templates.flatMap(({ file, content }) => {
    const base = templates.find((other) => other.content["template"] === content["extends"]);
    const entries = content["for_each"] === undefined ? [["", {}] as const] : Object.entries(mapOf(content["for_each"]));
    return entries.flatMap(([entry, values]) => {
      const put = (plain: Written): Written => mapOf(withEach(plain, mapOf(values)));
      const whole = base === undefined ? put(content) : narrowed(put(base.content), put(content));
      if (whole["who"] === undefined) return [];
      const name = `${String(content["template"])}${entry === "" ? "" : `/${entry}`}`;
      return [finalOf({ name, file, whole, base: base && put(base.content) }, files)];
    });
  });
}

/** `{each.NAME}` in every text, keys not among them. */
function withEach(plain: Plain, values: Written): Plain {
  if (typeof plain === "string") return plain.replaceAll(/\{each\.([a-z0-9_-]+)\}/g, (_, name: string) => String(values[name]));
  if (isList(plain)) return plain.map((item) => withEach(item, values));
  if (!isMap(plain)) return plain;
  return Object.fromEntries(Object.entries(plain).map(([key, value]) => [key, withEach(value, values)]));
}

/** The child's word where it has one, else the base's; `who` and `when` are joined where they are asked. */
function narrowed(base: Written, child: Written): Written {
  return {
    ...base,
    ...child,
    credentials: kept(mapOf(base["credentials"]), child["credentials"]),
    ...(base["steps"] === undefined ? {} : { steps: kept(mapOf(base["steps"]), child["steps"]) }),
    sandbox: { ...mapOf(base["sandbox"]), ...mapOf(child["sandbox"]) },
    ...(child["max_ttl"] === undefined || base["max_ttl"] === undefined
      ? {}
      : { max_ttl: amount(base["max_ttl"]) < amount(child["max_ttl"]) ? base["max_ttl"] : child["max_ttl"] }),
  };
}

/** Those that the child names, each as the base has it with the child's words over it; all of them where it names none. */
function kept(base: Written, child: Plain | undefined): Written {
  if (child === undefined) return base;
  return Object.fromEntries(
    Object.entries(mapOf(child)).map(([name, changes]) => [name, { ...mapOf(base[name]), ...mapOf(changes) }]),
  );
}

interface Assembled {
  readonly name: string;
  readonly file: string;
  readonly whole: Written;
  readonly base: Written | undefined;
}

function finalOf({ name, file, whole, base }: Assembled, files: readonly WrittenFile[]): Final {
  const bounds = boundsOver(file, files);
  const both = (key: string): readonly Plain[] =>
    [base?.[key], whole[key] === base?.[key] ? undefined : whole[key], ...bounds.map((bound) => bound[key])].flatMap((one) =>
      one === undefined ? [] : [one],
    );
  const most = whole["max_ttl"] === undefined ? Number.POSITIVE_INFINITY : amount(whole["max_ttl"]);
  const usual = Math.min(600_000, most, ...bounds.flatMap(({ max_ttl }) => (max_ttl === undefined ? [] : [amount(max_ttl)])));
  const credentials = new Map(
    Object.entries(mapOf(whole["credentials"])).map(([key, one]) => [key, credentialOf(mapOf(one), usual)]),
  );
  const steps = Object.entries(mapOf(whole["steps"])).map(
    ([key, one]) => [key, stepOf(mapOf(one), credentials, files)] as const,
  );
  const limits = limitsOf(mapOf(whole["sandbox"]), whole["tolerate"]);
  return {
    name,
    file,
    whos: both("who").map(mapOf),
    whens: both("when"),
    credentials,
    steps: new Map(steps),
    network: placesOf(whole["network"], [...credentials.values()], files),
    limits,
    byTrust: byTrustOf(whole),
    observe: observeOf(whole["observe"]),
    longest: most,
  };
}

/** Of its own folder and of those above it, and of what it extends. */
export function boundsOver(file: string, files: readonly WrittenFile[]): readonly Written[] {
  const extended = files.find((other) => other.file === file)?.content["extends"];
  const base = files.find(({ content }) => extended !== undefined && content["template"] === extended);
  const beneath = (folder: string): boolean => [file, base?.file].some((one) => one?.startsWith(folder));
  return files
    .filter((other) => /(?:^|\/)bounds\.yaml$/.test(other.file) && beneath(other.file.slice(0, -"bounds.yaml".length)))
    .map(({ content }) => content);
}

/** `usual`: how long it lives where nobody says. */
function credentialOf(written: Written, usual: number): FinalCredential {
  const { provider, ttl, wait, optional, deliver, ...options } = written;
  return {
    provider: String(provider),
    options,
    ttl: ttl === undefined ? usual : amount(ttl),
    wait: wait === undefined ? 0 : amount(wait),
    optional: optional === true,
    deliver,
  };
}

function stepOf(written: Written, credentials: ReadonlyMap<string, FinalCredential>, files: readonly WrittenFile[]): FinalStep {
  const given = listOf(written["credentials"]).map(String);
  const theirs = given.flatMap((name) => credentials.get(name) ?? []);
  return {
    run: written["run"] === undefined ? undefined : listOf(written["run"]),
    credentials: given,
    network: placesOf(written["network"], theirs, files),
    workspace: String(written["workspace"] ?? "rw"),
  };
}

/** With sets and credentials written out; a host without a port is on 443. */
export function placesOf(
  list: Plain | undefined,
  credentials: readonly { readonly provider: string }[],
  files: readonly WrittenFile[],
): readonly Place[] {
  return listOf(list).flatMap((item) => {
    const text = String(item);
    const set = files.find(({ content }) => `set:${String(content["set"])}` === text);
    if (set !== undefined) return placesOf(set.content["hosts"], [], files);
    if (text === "credentials")
      return placesOf(
        credentials.flatMap(({ provider }) => endpointsOf[provider] ?? []),
        [],
        files,
      );
    const [host = "", port = "443"] = text.split(":");
    return [{ host, port: Number(port) }];
  });
}

export function limitsOf(sandbox: Written, tolerate: Plain | undefined): Limits {
  const { memory = "2GiB", cpus = 2, pids = 512, timeout = "30m", env } = sandbox;
  return {
    memory: amount(memory),
    cpus: Number(cpus),
    pids: Number(pids),
    timeout: amount(timeout),
    pass: env === undefined ? ["CI"] : listOf(mapOf(env)["pass"]).map(String),
    tolerate: Object.keys(mapOf(tolerate)),
  };
}

/** What a run has whose limits are only observed: all that the site's mayfly.yaml lets any have. */
export function unlimited({ limits }: Pick<Final, "limits">): Limits {
  return { ...limits, memory: 64 * 1024 ** 3, cpus: 64, pids: 8_192, timeout: 86_400_000 };
}

function byTrustOf({ sandbox, tolerate }: Written): ReadonlyMap<string, Limits> {
  const base = mapOf(sandbox);
  return new Map(
    Object.entries(mapOf(base["by_trust"])).map(([trust, changes]) => [
      trust,
      limitsOf({ ...base, ...mapOf(changes) }, tolerate),
    ]),
  );
}

/** Until the day is over, everywhere counted in UTC. */
function observeOf(written: Plain | undefined): Final["observe"] {
  if (written === undefined) return undefined;
  const { parts, until } = mapOf(written);
  return { parts: listOf(parts).map(String), until: Date.parse(`${String(until)}T00:00:00Z`) + 86_400_000 };
}
