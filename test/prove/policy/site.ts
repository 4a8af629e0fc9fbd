import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { catalogue } from "../../../providers/catalogue.ts";
import { loadConfig } from "../../../src/config.ts";
import type { Delivery } from "../../../src/delivery/delivery.ts";
import { openAuthority } from "../../../src/lease/authority.ts";
import type { Rooms } from "../../../src/policy/rooms.ts";
import { configureProviders, roomsOf } from "../../../src/rooms.ts";
import type { Isolation } from "../../../src/sandbox/sandbox.ts";
import { systemClock } from "../../../src/time.ts";

export type SiteRooms = Rooms<Delivery, Isolation>;

/** A small site: an issuer whose claims are known, one whose claims are anybody's, and both kinds of provider. */
const mayfly = (folder: string): string => `version: 1
state: ${folder}/state
run: ${folder}/run
templates: ${folder}/templates
identity: { url: "https://broker.example.com", origin: broker.example.com/ledger }
issuers:
  ci: { preset: github, audience: "https://broker.example.com" }
  mesh:
    preset: generic
    url: "https://mesh.example.com"
    audience: "https://broker.example.com"
    workload: [team_id]
    job: [job_id]
    trust: { protected: { stage: released }, branch: { stage: open }, fork: { stage: foreign }, pull_request: { stage: proposed } }
providers:
  broker: { type: local }
  vault-main:
    type: vault
    address: https://vault.example.com:8200
    login: { mount: mayfly, role: job, audience: "https://vault.example.com" }
    sweeper: { role: sweeper }
    endpoints: ["db.example.com:5432", "replica.example.com:5432"]
sandbox: { workspaces: ["${folder}/builds"], memory: 64GiB, cpus: 64, timeout: 24h }
`;

/** What `credentials` in a network list stands for here. */
export const endpointsOf: Readonly<Record<string, readonly string[]>> = {
  broker: [],
  "vault-main": ["db.example.com:5432", "replica.example.com:5432"],
};

/** What `mayfly serve` hands to the templates, made from a real mayfly.yaml. */
export async function siteRooms(): Promise<SiteRooms> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-prove-policy-"));
  try {
    const path = join(folder, "mayfly.yaml");
    writeFileSync(path, mayfly(folder));
    const moved = { config: path, run: undefined, state: undefined, templates: undefined, failpoint: undefined };
    const config = loadConfig(path, moved);
    const random = (size: number): Buffer => Buffer.alloc(size, 7);
    const authority = await openAuthority({ folder, issuerUrl: config.identity.url, clock: systemClock, random });
    return roomsOf(config, await configureProviders(config, catalogue, { clock: systemClock, authority }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
