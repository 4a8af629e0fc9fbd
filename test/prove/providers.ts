import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { kubernetesMissing } from "../servers/kubernetes-binary.ts";
import { vaultMissing } from "../servers/missing.ts";
import { seaweedMissing } from "../servers/seaweedfs-binary.ts";
import { sshdMissing } from "../servers/sshd.ts";
import { startToxiproxy, type Toxic } from "../servers/toxiproxy.ts";
import { toxiproxyMissing } from "../servers/toxiproxy-binary.ts";
import type { Opening, OpenStand, Part, Stand, Trial } from "./providers/part.ts";
import { refusals } from "./providers/refusals.ts";
import { sabotages } from "./providers/sabotage.ts";
import { scope } from "./providers/scope.ts";
import { aws, azure, gcp } from "./providers/stands/clouds.ts";
import { github, kubernetes, plugins, postgres } from "./providers/stands/hosts.ts";
import { keys } from "./providers/stands/keys.ts";
import { vault } from "./providers/stands/vault.ts";
import { storm } from "./providers/storm.ts";

const parts = { scope, refusals, storm } as const satisfies Readonly<Record<string, () => Part>>;

const stands: Readonly<Record<string, OpenStand>> = {
  ...vault,
  ...aws,
  gcp,
  azure,
  github,
  kubernetes,
  postgres,
  ...keys,
  ...plugins,
};

/** Why one cannot be had here. */
function missing(name: string): string | undefined {
  if (name.startsWith("vault") || name === "postgres") return vaultMissing();
  if (name.startsWith("aws")) return seaweedMissing();
  if (name === "kubernetes") return kubernetesMissing();
  return name === "ssh" ? sshdMissing() : undefined;
}

const toxics: readonly Toxic[] = [
  { type: "latency", stream: "downstream", toxicity: 0.5, attributes: { latency: 40, jitter: 40 } },
  { type: "slicer", stream: "downstream", toxicity: 0.3, attributes: { average_size: 64, size_variation: 32, delay: 500 } },
  { type: "limit_data", stream: "downstream", toxicity: 0.06, attributes: { bytes: 200 } },
  { type: "reset_peer", stream: "downstream", toxicity: 0.06, attributes: { timeout: 5 } },
  { type: "timeout", stream: "upstream", toxicity: 0.04, attributes: { timeout: 200 } },
];

/** Each provider gives what was granted, ends it in time or says when it ends, and loses nothing however its upstream fails. */
export async function prove({ size, seed, random, sabotage, note }: ProofRequest): Promise<Verdict> {
  const absent = toxiproxyMissing();
  if (absent !== undefined) throw new Error(absent);
  const whole = { parts: Object.keys(parts), stands: Object.keys(stands), spoil: (real: Stand["provider"]) => real };
  const fault = sabotage === undefined ? whole : sabotages[sabotage];
  if (fault === undefined) throw new Error(`providers knows the sabotages ${Object.keys(sabotages).join(", ")}`);
  await using toxiproxy = await startToxiproxy(seed);
  const opening = { before: (port: number) => toxiproxy.before(port), spoil: fault.spoil };
  const skipped = new Set<string>();
  const toxic = { poison: (port: number) => toxiproxy.poison(port, toxics), heal: () => toxiproxy.heal() };
  const trial: Trial = { size, random, note, toxic };
  const wanted = Object.entries(parts).flatMap(([name, part]) => (fault.parts.includes(name) ? [part()] : []));
  for (const name of fault.stands) {
    const why = missing(name);
    if (why === undefined) await tryOne(stands[name], opening, { trial, parts: wanted });
    else skipped.add(`${name}: ${why}`);
  }
  const found = wanted.map((part) => part.found());
  for (const line of skipped) note(`not tried: ${line}`);
  const left = skipped.size === 0 ? [] : [`${skipped.size} providers not tried here`];
  return {
    claim: [...found.map(({ claim }) => claim), ...left].join("; "),
    held: found.every(({ held }) => held),
    figures: Object.assign({ skipped: [...skipped].join("; ") }, ...found.map((one) => one.figures)) as Verdict["figures"],
  };
}

/** One provider at a time, opened for all parts. */
async function tryOne(
  open: OpenStand | undefined,
  opening: Opening,
  { trial, parts: wanted }: { readonly trial: Trial; readonly parts: readonly Part[] },
): Promise<void> {
  if (open === undefined) return;
  await using stand = await open(opening);
  for (const part of wanted) await part.try(stand, trial);
}
