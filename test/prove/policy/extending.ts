import { pick, type Random } from "../identity/chance.ts";
import { chance, maybe, some } from "./chance.ts";
import { randomWhen } from "./when-made.ts";
import { conditions, type IssuerName, issuerNames, randomWho } from "./who-made.ts";
import { listOf, mapOf, type Plain, type Written, type WrittenFile } from "./written.ts";

/** A template that narrows this one; in one of six, one that has something more than it, and must not load. */
export function extending({ content: base }: WrittenFile, random: Random): WrittenFile {
  const name = `${String(base["template"])}-child`;
  const narrow: Written = {
    version: 1,
    template: name,
    extends: String(base["template"]),
    who: childWho(base, random),
    ...maybe(random, 0.2, () => ({ when: randomWhen(random) })),
    ...maybe(random, 0.3, () => ({ max_ttl: pick(random, ["5m", "20m", "1h"]) })),
    ...maybe(random, 0.6, () => keptScope(base, random)),
    ...maybe(random, 0.3, () => ({ sandbox: lower(mapOf(base["sandbox"]), random) })),
    ...where(base["network"], (network) => ({ network: fewerHosts(network, random) })),
    ...where(base["tolerate"], (tolerate) => ({ tolerate: chance(random, 0.5) ? tolerate : {} })),
    ...where(base["observe"], (observe) => ({ observe })),
  };
  const content = chance(random, 1 / 6) ? pick(random, widenings)(narrow, base) : narrow;
  return { file: `${name}.yaml`, content };
}

function where(value: Plain | undefined, make: (value: Plain) => Written): Written {
  return value === undefined ? {} : make(value);
}

/** `credentials` would stand for those that are left, and these may have no endpoints. */
function fewerHosts(network: Plain | undefined, random: Random): readonly Plain[] {
  const hosts = listOf(network).filter((one) => one !== "credentials");
  return some(random, hosts, [0, 3]);
}

function keptScope(base: Written, random: Random): Written {
  const credentials = mapOf(base["credentials"]);
  const kept = some(random, Object.keys(credentials), [0, 3]);
  return {
    credentials: Object.fromEntries(kept.map((key) => [key, shorter(mapOf(credentials[key]), random)])),
    ...where(base["steps"], (steps) => ({ steps: narrowerSteps(mapOf(steps), kept, random) })),
  };
}

function childWho(base: Written, random: Random): Written {
  const issuer = mapOf(base["who"])["issuer"];
  const known: IssuerName = issuerNames.find((one) => one === issuer) ?? "ci";
  const more = conditions(known, random, claimsOf(mapOf(base["who"])));
  if (issuer === undefined) return randomWho(known, random);
  return Object.keys(more).length > 0 ? more : { trust: "protected" };
}

/** So that what both of them ask for can be in one token. */
function claimsOf({ not, any, ...lines }: Written): readonly string[] {
  return [...Object.keys(lines), ...Object.keys(mapOf(not)), ...listOf(any).flatMap((one) => claimsOf(mapOf(one)))];
}

function shorter(credential: Written, random: Random): Written {
  const ttl = credential["ttl"];
  return {
    ...(ttl !== undefined && chance(random, 0.5) ? { ttl: pick(random, ["1m", "2m", ttl]) } : {}),
    ...(chance(random, 0.2) ? { optional: true } : {}),
  };
}

const workspaces = ["read-only", "overlay", "rw"];

function narrowerSteps(base: Written, kept: readonly string[], random: Random): Written {
  const names = some(random, Object.keys(base), [1, 3]);
  return Object.fromEntries(
    names.map((name) => {
      const { credentials, network, workspace = "rw", run } = mapOf(base[name]);
      const given = listOf(credentials).filter((key) => kept.includes(String(key)));
      const narrower = workspaces.slice(0, workspaces.indexOf(String(workspace)) + 1);
      return [
        name,
        {
          credentials: some(random, given, [0, 2]),
          network: fewerHosts(network, random),
          workspace: pick(random, narrower),
          ...(run === undefined ? (chance(random, 0.3) ? { run: ["make", name] } : {}) : { run }),
        },
      ];
    }),
  );
}

function lower({ memory = "2GiB", pids = 512, timeout = "30m" }: Written, random: Random): Written {
  return { ...pick<Written>(random, [{ memory: "128MiB" }, { memory }, { pids: 16 }, { timeout: "1m" }, { timeout, pids }]) };
}

/** Each of them gives the child something that its base has not. */
const widenings: readonly ((child: Written, base: Written) => Written)[] = [
  (child) => ({ ...child, sandbox: { ...mapOf(child["sandbox"]), memory: "9GiB" } }),
  (child) => ({ ...child, sandbox: { ...mapOf(child["sandbox"]), pids: 4096 } }),
  (child) => ({ ...child, sandbox: { ...mapOf(child["sandbox"]), timeout: "59m" } }),
  (child) => ({ ...child, sandbox: { ...mapOf(child["sandbox"]), env: { pass: ["CI", "BUILD_*"] } } }),
  (child) => ({ ...child, tolerate: { "pids-limit": "nobody has asked for this one" } }),
  (child, base) =>
    base["observe"] === undefined ? child : { ...child, observe: { ...mapOf(base["observe"]), until: "2028-01-31" } },
  (child) => ({ ...child, observe: { parts: ["network", "limits"], until: "2029-01-31" } }),
  (child, base) => ({
    ...child,
    credentials: { ...mapOf(child["credentials"] ?? named(base["credentials"])), extra: { provider: "broker", kind: "x509" } },
  }),
  (child, base) => changedCredential(child, base, { ttl: "59m" }),
  (child, base) => changedCredential(child, base, { provider: "broker", kind: "jwt", audience: "https://other.example.com" }),
  (child, base) => changedStep(child, base, { network: ["other.example.com:22"] }),
  (child, base) => changedStep(child, base, { workspace: "rw" }),
  (child, base) => changedStep(child, base, { run: ["sh"] }),
  (child, base) => (base["network"] === undefined ? child : { ...child, network: ["*.example.com"] }),
];

function named(credentials: Written[string] | undefined): Written {
  return Object.fromEntries(Object.keys(mapOf(credentials)).map((name) => [name, {}]));
}

function changedCredential(child: Written, base: Written, change: Written): Written {
  const credentials = mapOf(child["credentials"] ?? named(base["credentials"]));
  const [first] = Object.keys(credentials);
  return first === undefined
    ? child
    : { ...child, credentials: { ...credentials, [first]: { ...mapOf(credentials[first]), ...change } } };
}

/** Only where the child writes the step anew: else it is the base's. */
function changedStep(child: Written, _base: Written, change: Written): Written {
  const steps = mapOf(child["steps"]);
  const [first] = Object.keys(steps);
  return first === undefined ? child : { ...child, steps: { ...steps, [first]: { ...mapOf(steps[first]), ...change } } };
}
