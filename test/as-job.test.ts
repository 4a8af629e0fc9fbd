import { generateKeyPairSync } from "node:crypto";
import { SignJWT } from "jose";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Asker, opens } from "../src/asker.ts";
import type { RunAsk } from "../src/contract.ts";
import { BrokerError } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import { Job } from "../src/job.ts";
import { JobTokens } from "../src/lease/job-tokens.ts";
import type { RoomProvider } from "../src/lease/lease.ts";
import { Secret } from "../src/secret.ts";
import { createBroker } from "../src/service.ts";
import { systemClock } from "../src/time.ts";
import { ask, client, grant, identity, type JobStage, openJobStage, peer, sandboxThat } from "./job-stage.ts";
import { lying } from "./lease/stage.ts";

/*
 * A provider that is configured `as: job`: what it is shown, for how long, and what is on record. The ledger and the flow are real; the upstream
 * only looks at the token.
 */

let stage: JobStage;
let house: House;
let shown: string[];

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const tokenFor = (aud: string): Promise<string> =>
  new SignJWT({ sub: "repo:shop", aud }).setProtectedHeader({ alg: "ES256" }).sign(privateKey);

beforeEach(async () => {
  stage = await openJobStage();
  shown = [];
  const upstream: RoomProvider = { ...lying(() => Promise.reject(new Error("unused"))), as: "job" };
  const mint: RoomProvider["mint"] = async ({ intent, proof }) => {
    shown.push((await proof.token("https://up.test")).use(String));
    return {
      material: { kind: "bearer", token: Secret.of("canary") },
      ending: { kind: "revoke", handle: { id: intent.lease }, expiresAt: Date.now() + 1_000 },
    };
  };
  const minting = { ...stage.house.minting, providers: new Map([["up", { ...upstream, mint }]]) };
  house = { ...stage.house, minting };
});
afterEach(() => stage[Symbol.asyncDispose]());

const credential = {
  name: "cloud",
  provider: "up",
  options: {},
  ttl: 60_000,
  deliver: undefined,
  wait: 0,
  optional: false,
  as: "job",
} as const;
const asJob = { ...grant, credentials: [credential] };

const opener = (life = 600_000) => opens(house, { ...identity, token: { key: "a-key", expiresAt: Date.now() + life } }, peer);

/** One run, until its credentials are minted; then it ends. */
async function run(asker: Asker, credentials: RunAsk["credentials"]): Promise<void> {
  await using job = new Job(house, { ...ask, credentials }, client);
  await job.mint(await job.begin(asker, asJob, sandboxThat({})));
}

const within = ({ opening: { id } }: ReturnType<typeof opener>): Asker => ({
  kind: "within",
  identity,
  session: id,
  provedAt: Date.now(),
});
const bySession: RunAsk["credentials"] = { kind: "session", handle: Secret.of("a handle") };
const byToken = async (aud = "https://up.test"): Promise<RunAsk["credentials"]> => ({
  kind: "token",
  token: Secret.of(await tokenFor(aud)),
});

describe("a provider that is configured as the job", () => {
  test("is shown the job's own token, in each run of its session, and the lease says so", async () => {
    const asker = opener();
    const credentials = await byToken();
    await run(asker, credentials);
    await run(within(asker), bySession);
    const token = credentials.kind === "token" ? credentials.token.use(String) : "";
    expect(shown).toEqual([token, token]);
    expect((await house.ledger.leases({ limit: 10 })).map(({ as }) => as)).toEqual(["job", "job"]);
    const [intent] = await house.ledger.entries({ limit: 1, kinds: ["intent"] });
    expect(intent?.event).toMatchObject({ as: "job", provider: "up" });
  });

  test("is asked for nothing with a token that was made for somebody else", async () => {
    await expect(run(opener(), await byToken("https://broker.test"))).rejects.toMatchObject({
      code: "provider-refused",
      message: "the job's own token is made for somebody else than this provider",
    });
    expect(shown).toEqual([]);
    expect((await house.ledger.leases({ limit: 1 }))[0]).toMatchObject({ state: "failed" });
  });

  test.each<[string, (session: string) => void]>([
    ["its session has ended", (session) => house.minting.jobTokens.end(`session:${session}`)],
    ["its workload was contained", () => house.minting.jobTokens.end(`workload:${identity.workload}`)],
    ["the broker has no token of it (any more)", () => house.minting.jobTokens[Symbol.dispose]()],
  ])("is not asked once %s", async (_, end) => {
    const asker = opener();
    await run(asker, await byToken());
    end(asker.opening.id);
    await expect(run(within(asker), bySession)).rejects.toMatchObject({ code: "provider-refused" });
    expect(shown).toHaveLength(1);
  });

  test("is not asked once the token has expired", async () => {
    const asker = opener(300);
    await run(asker, await byToken());
    await systemClock.sleep(400);
    await expect(run(within(asker), bySession)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("start one with a fresh token"),
    });
  });

  test("contained, keeps no token of it", async () => {
    const asker = opener();
    await run(asker, await byToken());
    const about = { version: "1", startedAt: 0, issuers: [], providers: [], draining: () => false, trouble: () => [] };
    await createBroker(house, about).contain({ scope: `workload:${identity.workload}`, closed: true, who: "ann", why: "x" });
    expect(() => house.minting.jobTokens.proof(asker.opening.id)).toThrow(BrokerError);
  });
});

test("nothing is kept where no provider shows a job's token", () => {
  using tokens = new JobTokens({ clock: systemClock, needed: false });
  tokens.keep({ session: "s", scopes: [], token: Secret.of("t"), until: Date.now() + 1_000 });
  expect(() => tokens.proof("s")).toThrow(BrokerError);
});
