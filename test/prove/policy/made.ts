import { pick, type Random } from "../identity/chance.ts";
import { boundsFor } from "./bounds-made.ts";
import { between, chance, maybe, some } from "./chance.ts";
import { extending } from "./extending.ts";
import { randomWhen } from "./when-made.ts";
import { type IssuerName, issuerNames, randomWho } from "./who-made.ts";
import { mapOf, type Plain, type Written, type WrittenFile } from "./written.ts";

/** A folder of templates, as its authors wrote it. */
export interface Site {
  readonly files: readonly WrittenFile[];
}

/** Few templates that are close to each other, now and then with a base, a set of hosts and bounds. */
export function randomSite(random: Random): Site {
  const templates: WrittenFile[] = [];
  for (let count = between(random, 1, 3); count > 0; count--) {
    const made = randomTemplate(`t${count}`, random);
    templates.push(made);
    if (made.content["for_each"] === undefined && chance(random, 0.35)) templates.push(extending(made, random));
  }
  const files = JSON.stringify(templates).includes("set:mirror") ? [...templates, mirror] : templates;
  return { files: chance(random, 0.4) ? [...files, ...boundsFor(files, random)] : files };
}

const mirror: WrittenFile = {
  file: "mirror.set.yaml",
  content: { version: 1, set: "mirror", revision: "2026-11-20", hosts: ["*.mirror.example.com", "git.example.com:22"] },
};

function randomTemplate(name: string, random: Random): WrittenFile {
  const folder = chance(random, 0.4) ? "shop/" : "";
  const each = chance(random, 0.2);
  const issuer = pick(random, issuerNames);
  const content: Written = {
    version: 1,
    template: `${folder}${name}`,
    ...maybe(random, 0.5, () => ({ owner: "team-shop" })),
    ...(each ? eachWho(issuer, random) : maybe(random, 0.9, () => ({ who: randomWho(issuer, random) }))),
    ...maybe(random, 0.2, () => ({ when: randomWhen(random) })),
    ...maybe(random, 0.4, () => ({ max_ttl: pick(random, ["30m", "1h"]) })),
    ...randomScope(randomCredentials(issuer, each, random), random),
    sandbox: randomSandbox(random),
    ...maybe(random, 0.15, () => ({ tolerate: { "cpu-limit": "the build hosts have no cpu controller" } })),
    ...maybe(random, 0.15, () => ({
      observe: { parts: some(random, ["network", "limits"], [1, 2]), until: pick(random, dates) },
    })),
  };
  return { file: `${folder}${name}.yaml`, content };
}

function eachWho(issuer: IssuerName, random: Random): Written {
  return { who: { ...randomWho(issuer, random), environment: "{each.stage}" }, for_each: randomEntries(random) };
}

function randomScope(credentials: Written, random: Random): Written {
  const names = Object.keys(credentials);
  const given = names.length > 0 || chance(random, 0.5) ? { credentials } : {};
  if (chance(random, 0.4)) return { ...given, steps: randomSteps(credentials, random) };
  return { ...given, ...maybe(random, 0.5, () => ({ network: randomNetwork(names, credentials, random) })) };
}

const dates = ["2026-11-30", "2026-12-15", "2027-01-31"];

function randomEntries(random: Random): Written {
  const stages = some(random, ["production", "staging", "review"], [1, 3]);
  return Object.fromEntries(stages.map((stage) => [stage, { stage, database: `shop-${stage}` }]));
}

/** Claims that this issuer's tokens have, or may have: a slot whose claim is not there denies. */
const slots: Readonly<Record<IssuerName, readonly string[]>> = {
  ci: ["{repository_id}", "{repository_owner_id}", "{actor_id}", "{environment}"],
  mesh: ["{team_id}", "{level}", "{environment}", "{job_id}"],
};

function randomCredentials(issuer: IssuerName, each: boolean, random: Random): Written {
  const makers: Readonly<Record<string, () => Written>> = {
    api: () => ({
      provider: "broker",
      kind: "jwt",
      audience: pick(random, ["https://reports.example.com", "https://api.example.com"]),
    }),
    cert: () => ({ provider: "broker", kind: "x509" }),
    db: () => ({ provider: "vault-main", path: `database/creds/${pick(random, ["shop-read", "shop-migrate"])}` }),
    kv: () => ({
      provider: "vault-main",
      path: `secret/data/ci/${pick(random, slots[issuer])}`,
      deliver: { files: { "token.txt": "token" } },
    }),
    deep: () => ({
      provider: "vault-main",
      path: `secret/data/${pick(random, slots[issuer])}/${pick(random, slots[issuer])}/x`,
    }),
  };
  const names = some(random, Object.keys(makers), [0, 3]);
  const made = names.map((name) => [name, { ...makers[name]?.(), ...lifeOf(random) }] as const);
  const staged: Written = { provider: "vault-main", path: "database/creds/{each.database}" };
  return Object.fromEntries(each ? [...made, ["staged", staged] as const] : made);
}

function lifeOf(random: Random): Written {
  return {
    ...(chance(random, 0.7) ? { ttl: pick(random, ["2m", "5m", "10m", "15m", "30m"]) } : {}),
    ...(chance(random, 0.15) ? { wait: "20s" } : {}),
    ...(chance(random, 0.15) ? { optional: true } : {}),
  };
}

function randomSteps(credentials: Written, random: Random): Written {
  const used = some(random, ["build", "migrate", "ship"], [1, 3]);
  return Object.fromEntries(
    used.map((name) => {
      const given = some(random, Object.keys(credentials), [0, 2]);
      return [
        name,
        {
          credentials: given,
          network: randomNetwork(given, credentials, random),
          workspace: pick(random, ["read-only", "overlay", "rw"]),
          ...(chance(random, 0.4) ? { run: ["npm", "run", name] } : {}),
        },
      ];
    }),
  );
}

const hosts = [
  "db.example.com:5432",
  "git.example.com",
  "*.mirror.example.com",
  "a.mirror.example.com",
  "api.example.com:8443",
  "set:mirror",
];

function randomNetwork(given: readonly string[], credentials: Written, random: Random): readonly Plain[] {
  const reachable = given.length > 0 && given.every((name) => mapOf(credentials[name])["provider"] === "vault-main");
  return some(random, reachable ? [...hosts, "credentials"] : hosts, [0, 3]);
}

function randomSandbox(random: Random): Written {
  return {
    timeout: pick(random, ["10m", "20m", "30m"]),
    ...(chance(random, 0.5) ? { memory: pick(random, ["256MiB", "1GiB", "2GiB"]) } : {}),
    ...(chance(random, 0.4) ? { cpus: pick(random, [1, 2, 4]) } : {}),
    ...(chance(random, 0.4) ? { pids: pick(random, [64, 256, 512]) } : {}),
    ...(chance(random, 0.4)
      ? { env: { pass: some(random, ["CI", "GITHUB_RUN_*", "GITHUB_RUN_ID", "BUILD_NUMBER"], [0, 3]) } }
      : {}),
    ...(chance(random, 0.25)
      ? { by_trust: { [pick(random, ["protected", "branch"])]: { memory: pick(random, ["512MiB", "4GiB"]) } } }
      : {}),
  };
}
