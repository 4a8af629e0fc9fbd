import { Agent } from "node:http";
import { AssumeRoleWithWebIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import vault from "node-vault";
import type { Proofs } from "../src/lease/authority.ts";
import type { Provider } from "../src/lease/provider.ts";
import { fill } from "../src/policy/slots.ts";
import { intentOf } from "../test/conformance/provider.ts";
import { openHouse } from "../test/prove/providers/house.ts";
import type { Stand } from "../test/prove/providers/part.ts";
import * as awsBench from "../test/providers/aws-bench.ts";
import { configured } from "../test/providers/configured.ts";
import * as vaultBench from "../test/providers/vault-bench.ts";
import { region } from "../test/servers/seaweedfs.ts";
import type { Measured } from "./bench.ts";

const turns = 100;
const ttl = 900_000;

/** What is timed; what it needs beforehand is made outside of its time. */
type Timed = () => Promise<() => Promise<unknown>>;

/**
 * Ours with all that it checks and a proof that it signs itself, beside the upstream's usual client that is handed the proof. Theirs keeps
 * its connection, or makes one for each request, as ours always does: so that "was it sent?" has an answer.
 */
export async function bench(): Promise<readonly Measured[]> {
  return [await ofAws(), await ofVault()];
}

async function ofAws(): Promise<Measured> {
  await using opened = await awsBench.openAwsBench();
  const { aws, authority } = opened;
  const endpoint = `http://127.0.0.1:${aws.port}`;
  const provider = await opened.again({ endpoints: { sts: endpoint, iam: endpoint } });
  const { options, audience, role } = awsBench;
  const bare =
    (client: STSClient): Timed =>
    async () => {
      const intent = intentOf({ ttl });
      const token = (await authority.proofs.mint(intent).token(audience)).use(String);
      const Policy = JSON.stringify({ Version: "2012-10-17", ...options.policy });
      const asked = { RoleArn: role, RoleSessionName: intent.lease, WebIdentityToken: token, Policy, DurationSeconds: 900 };
      return () => client.send(new AssumeRoleWithWebIdentityCommand(asked));
    };
  const common = { region, endpoint, maxAttempts: 1 };
  const kept = new STSClient(common);
  const fresh = new STSClient({ ...common, requestHandler: { httpAgent: new Agent({ keepAlive: false }) } });
  const stand = { provider, proofs: authority.proofs, options, ttl };
  return await measured("mint, aws", "one session of SeaweedFS's STS, wall time", stand, {
    "the bare SDK, its connection kept": bare(kept),
    "the bare SDK, a connection for each": bare(fresh),
  });
}

async function ofVault(): Promise<Measured> {
  await using opened = await vaultBench.openVaultBench();
  const { bao, authority } = opened;
  const { audience } = vaultBench;
  const login = { mount: "mayfly", role: "job", audience };
  const entry = { address: bao.address, allow_plaintext: true, login, sweeper: { role: "sweeper" }, timeout: "5s" };
  const provider = await configured("vault", entry, { authority });
  const options = fill(provider.options.parse({ path: "database/creds/shop-migrate", kind: "dynamic" }), {});
  const bare =
    (keepAlive: boolean): Timed =>
    async () => {
      const jwt = (await authority.proofs.mint(intentOf({ ttl })).token(audience)).use(String);
      const requestOptions = { httpAgent: agents[keepAlive ? "kept" : "fresh"] };
      return async () => {
        const client = vault({ endpoint: bao.address, requestOptions });
        const { auth } = (await client.write("auth/mayfly/login", { role: "job", jwt })) as { auth: { client_token: string } };
        client.token = auth.client_token;
        await client.read("database/creds/shop-migrate");
      };
    };
  const stand = { provider, proofs: authority.proofs, options, ttl: 600_000 };
  return await measured("mint, vault", "a login and a database login of OpenBao's over PostgreSQL, wall time", stand, {
    "node-vault, its connection kept": bare(true),
    "node-vault, a connection for each": bare(false),
  });
}

const agents = { kept: new Agent({ keepAlive: true }), fresh: new Agent({ keepAlive: false }) };

interface Ours {
  readonly provider: Provider<unknown>;
  readonly proofs: Proofs;
  readonly options: unknown;
  readonly ttl: number;
}

async function measured(
  name: string,
  boundary: string,
  ours: Ours,
  theirs: Readonly<Record<string, Timed>>,
): Promise<Measured> {
  await using house = await openHouse(ours as Stand);
  const { signal } = new AbortController();
  const contenders: Readonly<Record<string, Timed>> = {
    ours: () => {
      const intent = intentOf(ours);
      return Promise.resolve(() =>
        ours.provider.mint({ intent, options: ours.options, proof: ours.proofs.mint(intent), signal }),
      );
    },
    ...theirs,
    "ours, with the ledger's two durable writes": () => Promise.resolve(() => house.issue()),
    "signing a proof alone": () => {
      const proof = ours.proofs.mint(intentOf(ours));
      return Promise.resolve(() => proof.token("https://example.com"));
    },
  };
  const p50 = await medians(contenders);
  const own = p50["ours"] ?? 0;
  const figures: Record<string, number> = {};
  const lines = Object.entries(p50).map(([who, milliseconds]) => {
    figures[`${who}, ms at p50`] = milliseconds;
    if (!(who in theirs)) return `${milliseconds.toFixed(1).padStart(7)} ms  ${who}`;
    figures[`ours as a multiple of ${who}`] = own / milliseconds;
    return `${milliseconds.toFixed(1).padStart(7)} ms  ${who}: ours takes ${(own / milliseconds).toFixed(2)} times as long`;
  });
  return { name, boundary: `${boundary}, p50 of ${turns} by turns`, figures, lines };
}

/** By turns, so that what the machine does to one it does to all; the first tenth only warms up. */
async function medians(contenders: Readonly<Record<string, Timed>>): Promise<Readonly<Record<string, number>>> {
  const spans = new Map(Object.keys(contenders).map((who) => [who, [] as number[]]));
  for (let turn = -turns / 10; turn < turns; turn++) {
    for (const [who, prepare] of Object.entries(contenders)) {
      const work = await prepare();
      const began = performance.now();
      await work();
      if (turn >= 0) spans.get(who)?.push(performance.now() - began);
    }
  }
  const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return Object.fromEntries([...spans].map(([who, values]) => [who, median(values)]));
}
