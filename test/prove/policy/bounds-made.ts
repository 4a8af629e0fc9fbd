import { pick, type Random } from "../identity/chance.ts";
import { chance, some } from "./chance.ts";
import { type Final, finalForms, type Place } from "./oracle/final.ts";
import { randomWhen } from "./when-made.ts";
import type { Plain, Written, WrittenFile } from "./written.ts";

/** Bounds of the root or of one folder, or of both, in which all that stands beneath fits; one time of three something does not. */
export function boundsFor(files: readonly WrittenFile[], random: Random): readonly WrittenFile[] {
  const folders = pick(random, [[""], ["shop/"], ["", "shop/"]]);
  return folders.flatMap((folder) => {
    const beneath = finalForms(files).filter(({ file }) => file.startsWith(folder));
    return beneath.length === 0 ? [] : [{ file: `${folder}bounds.yaml`, content: boundsAround(beneath, random) }];
  });
}

function boundsAround(finals: readonly Final[], random: Random): Written {
  const whole = widest(finals);
  const keys = some(random, Object.keys(whole), [1, 5]);
  const chosen = Object.fromEntries(keys.flatMap((key) => (whole[key] === undefined ? [] : [[key, whole[key]] as const])));
  const tight = chance(random, 0.33) && keys.length > 0 ? { ...chosen, ...tightened(pick(random, keys), random) } : chosen;
  return {
    version: 1,
    ...(chance(random, 0.3) ? { owner: "team-site" } : {}),
    ...(chance(random, 0.3) ? { who: boundWho(random) } : {}),
    ...(chance(random, 0.2) ? { when: randomWhen(random) } : {}),
    ...tight,
  };
}

/** Of claims that either issuer's tokens may have; most templates can still match within it. */
function boundWho(random: Random): Written {
  return pick<Written>(random, [
    { not: { event_name: ["pull_request_target", "schedule"] } },
    { not: { ref: "refs/heads/*-evil", environment: "" } },
    { absent: "actor_id" },
    { ref: ["refs/heads/**", "refs/tags/v1"] },
    { any: [{ environment: "*ing" }, { absent: ["environment"] }] },
  ]);
}

/** As much as any of them uses, and no more. */
function widest(finals: readonly Final[]): Written {
  const credentials = finals.flatMap((final) => [...final.credentials.values()]);
  const limits = finals.flatMap((final) => [final.limits, ...final.byTrust.values()]);
  const places = finals.flatMap((final) => [...final.network, ...[...final.steps.values()].flatMap(({ network }) => network)]);
  const longest = Math.max(60_000, ...credentials.map(({ ttl }) => ttl));
  const watched = (part: string): boolean => finals.some(({ observe }) => observe?.parts.includes(part) === true);
  const most = (name: "memory" | "cpus" | "pids" | "timeout"): number => Math.max(...limits.map((one) => one[name]));
  return {
    max_ttl: milliseconds(longest),
    unrevocable: { max_ttl: milliseconds(longest) },
    credentials: entriesFor(finals),
    ...(watched("network") ? {} : { network: [...new Set(places.map(textOf))] }),
    sandbox: {
      ...(watched("limits") ? {} : limitsWithin(most)),
      env: { pass: [...new Set(limits.flatMap(({ pass }) => pass))] },
    },
    tolerate: [...new Set(limits.flatMap(({ tolerate }) => tolerate))],
  };
}

function limitsWithin(most: (name: "memory" | "cpus" | "pids" | "timeout") => number): Written {
  return {
    memory: `${most("memory") / 2 ** 20}MiB`,
    cpus: most("cpus"),
    pids: most("pids"),
    timeout: milliseconds(most("timeout")),
  };
}

function entriesFor(finals: readonly Final[]): readonly Plain[] {
  const used = new Set(finals.flatMap((final) => [...final.credentials.values()].map(({ provider }) => provider)));
  return [...used].map((provider) =>
    provider === "vault-main"
      ? { provider, options: { path: ["database/creds/shop*", "secret/data/**"] } }
      : { provider, max_ttl: "1h" },
  );
}

function milliseconds(span: number): string {
  return span % 60_000 === 0 ? `${span / 60_000}m` : `${span}ms`;
}

function textOf({ host, port }: Place): string {
  return port === 443 ? host : `${host}:${port}`;
}

/** One key, so narrow that most templates are beyond it; whether one is, the oracle says. */
function tightened(key: string, random: Random): Written {
  const narrow: Readonly<Record<string, readonly Plain[]>> = {
    max_ttl: ["1m", "5m", "10m"],
    unrevocable: [{ max_ttl: "2m" }, { max_ttl: "9m" }],
    credentials: [
      [],
      [{ provider: "broker", max_ttl: "5m" }, { provider: "vault-main" }],
      [{ provider: "vault-main", options: { path: "database/creds/*" } }, { provider: "broker" }],
      [{ provider: "vault-main", options: { path: ["secret/data/*/x", "secret/data/ci/*"] } }, { provider: "broker" }],
      [{ provider: "vault-main", commands: "pinned" }, { provider: "broker" }],
      [{ provider: "broker", commands: [["npm", "run", "ship"]] }, { provider: "vault-main" }],
    ],
    network: [[], ["db.example.com:5432"], ["*.mirror.example.com", "db.example.com:5432", "git.example.com:22"]],
    sandbox: [
      { memory: "512MiB" },
      { cpus: 1 },
      { pids: 128 },
      { timeout: "15m" },
      { env: { pass: ["GITHUB_*"] } },
      { images: ["host"] },
    ],
    tolerate: [[]],
  };
  return { [key]: pick(random, narrow[key] ?? []) };
}
