import { afterEach, describe, expect, it } from "vitest";
import { mint } from "../../src/lease/mint.ts";
import type { Provider } from "../../src/lease/provider.ts";
import {
  aliveUpstream,
  type Begun,
  certificate,
  database,
  eventually,
  expectNothingLeft,
  lying,
  stored,
  useStage,
} from "./stage.ts";

const never = new AbortController().signal;

describe("the sweeper", () => {
  const stage = useStage();
  afterEach(async () => {
    stage().bench.proxy.heal();
    // A dead broker's log is gone with it.
    stage().hidden.clear();
    await expectNothingLeft(stage());
    stage().reports.length = 0;
  });

  const first = (begun: Begun): string => begun.intents[0]?.lease ?? "";
  const done =
    (begun: Begun, ...states: string[]) =>
    async () => {
      const records = await Promise.all(begun.intents.map(({ lease }) => stage().record(lease)));
      return records.every(({ state }) => states.includes(state));
    };
  /** As a broker that is killed leaves it: the provider did its part, and nobody records or ends it. */
  const mintUnrecorded = async (begun: Begun): Promise<void> => {
    const [intent] = begun.intents;
    const provider = stage().providers.get(intent?.provider ?? "");
    if (intent === undefined || provider === undefined) throw new Error("no intent");
    await provider.mint({
      intent,
      options: begun.grant.credentials[0]?.options,
      proof: stage().bench.authority.proofs.mint(intent),
      signal: never,
    });
  };

  it("ends a lease that only a wrong clock calls over, and does not take the clock's word for it", async () => {
    const begun = await stage().begin(database);
    await mint(stage().minting, { ...begun, signal: never });
    const clock = { ...stage().minting.clock, now: () => Date.now() + 86_400_000 };
    await using _sweeper = stage().sweeper({ clock });
    await eventually(done(begun, "revoked", "expired"));
    expect(await aliveUpstream(stage())).toEqual([]);
  });

  it("goes on when the clock has gone back an hour", async () => {
    const begun = await stage().begin(database);
    await mint(stage().minting, { ...begun, signal: never });
    const clock = { ...stage().minting.clock, now: () => Date.now() - 3_600_000 };
    await using _sweeper = stage().sweeper({ clock });
    await eventually(done(begun, "revoked"));
  });

  it("closes a run that nobody holds and the ledger still calls open", async () => {
    const begun = await stage().begin(database);
    const { run } = begun;
    const leases = await mint(stage().minting, { ...begun, signal: never });
    await leases.end(3_000);
    await using _sweeper = stage().sweeper({ heldRun: (other) => other !== run });
    await eventually(async () => !(await stage().ledger.openRuns()).includes(run));
    const told = await stage().ledger.entries({ about: run, limit: 100 });
    expect(told.at(-1)?.event).toMatchObject({ kind: "run-ended", outcome: "lost" });
  });

  it("ends what a dead broker had minted and not recorded", async () => {
    const begun = await stage().begin(database);
    await mintUnrecorded(begun);
    expect(await aliveUpstream(stage())).not.toEqual([]);
    await using _ = stage().sweeper();
    await eventually(done(begun, "revoked"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "revoked"]);
  });

  it("ends what a dead broker had recorded, and had delivered", async () => {
    const begun = await stage().begin(database, { ...database, name: "db2" }, stored);
    await mint(stage().minting, { ...begun, signal: never });
    await stage().ledger.append([{ kind: "delivered", lease: begun.intents[1]?.lease ?? "" }]);
    await using _ = stage().sweeper();
    await eventually(done(begun, "revoked", "exposed"));
    expect(await Promise.all(begun.intents.map(({ lease }) => stage().story(lease)))).toEqual([
      ["intent", "issued", "revoked"],
      ["intent", "issued", "delivered", "revoked"],
      ["intent", "issued", "exposed"],
    ]);
  });

  it("calls an intent failed when the provider says that it never happened", async () => {
    const begun = await stage().begin(database);
    await using _ = stage().sweeper();
    await eventually(done(begun, "failed"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "failed"]);
  });

  it("does not believe that too early: a request whose caller died may still be on its way", async () => {
    const begun = await stage().begin(database);
    await using _ = stage().sweeper({ settle: 1_000 });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect((await stage().record(first(begun))).state).toBe("unknown");
    // Here it arrives, late.
    await mintUnrecorded(begun);
    await eventually(done(begun, "revoked"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "revoked"]);
  });

  it("counts that time from when it became unknown: one that waited for its provider was asked for long after its intent", async () => {
    const begun = await stage().begin(database);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    await stage().ledger.append([{ kind: "unknown", lease: first(begun), code: "provider-unavailable" }]);
    await using _ = stage().sweeper({ settle: 1_000 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect((await stage().record(first(begun))).state).toBe("unknown");
    await mintUnrecorded(begun);
    await eventually(done(begun, "revoked"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "revoked"]);
  });

  it("leaves the leases of live runs alone", async () => {
    const begun = await stage().begin(database);
    const leases = await mint(stage().minting, { ...begun, signal: never });
    await using _ = stage().sweeper({ held: () => true });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await stage().record(first(begun))).state).toBe("issued");
    await leases.end(1_500);
  });

  it("tries again, with a pause, until the upstream is back, and keeps its back-off in the ledger", async () => {
    const begun = await stage().begin(database);
    await mint(stage().minting, { ...begun, signal: never });
    stage().bench.proxy.always({ kind: "reset" });
    await using _ = stage().sweeper();
    await eventually(async () => (await stage().record(first(begun))).attempts >= 2);
    const { attempts, nextAttempt } = await stage().record(first(begun));
    expect(attempts).toBeGreaterThanOrEqual(2);
    expect(nextAttempt).toBeGreaterThan(Date.now() - 50);
    expect(stage().reports.length).toBeGreaterThanOrEqual(2);
    stage().bench.proxy.heal();
    await eventually(done(begun, "revoked"));
    expect((await stage().story(first(begun))).filter((kind) => kind !== "revocation-failed")).toEqual([
      "intent",
      "issued",
      "revoked",
    ]);
  });

  it("is not held up by one provider that hangs", async () => {
    const hanging: Provider<unknown> = {
      ...lying(() => Promise.resolve({ material: { kind: "fields", fields: {} }, ending: { kind: "static" } })),
      revocation: { revoke: () => new Promise(() => undefined), recover: () => new Promise(() => undefined) },
    };
    stage().providers.set("hanging", hanging);
    const stuck = await stage().begin(
      ...Array.from({ length: 20 }, (_, at) => ({ name: `stuck${at}`, provider: "hanging", options: {}, ttl: 1_500 })),
    );
    const begun = await stage().begin(database);
    await mintUnrecorded(begun);
    await using _ = stage().sweeper({ patience: 500 });
    const before = performance.now();
    await eventually(done(begun, "revoked"));
    expect(performance.now() - before).toBeLessThan(1_500);
    await eventually(done(stuck, "expired"));
  });

  it("records that a lease expired which nobody could end", async () => {
    const begun = await stage().begin({ ...certificate, ttl: 1_000 });
    await mint(stage().minting, { ...begun, signal: never });
    await using _ = stage().sweeper();
    await eventually(done(begun, "expired"));
    expect(await stage().story(first(begun))).toEqual(["intent", "issued", "expired"]);
  });

  it("counts what it cannot find out about as alive until the latest expiry", async () => {
    const begun = await stage().begin({ ...certificate, ttl: 500 });
    await using _ = stage().sweeper();
    await eventually(async () => (await stage().record(first(begun))).state === "unknown");
    expect((await stage().record(first(begun))).latestExpiry).toBeGreaterThan(Date.now());
    await eventually(done(begun, "expired"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "expired"]);
    expect((await stage().record(first(begun))).latestExpiry).toBeLessThanOrEqual(Date.now());
  });

  it("keeps a lease open whose provider is no longer configured, and ends it once it is again", async () => {
    const begun = await stage().begin(database);
    await mint(stage().minting, { ...begun, signal: never });
    stage().providers.delete("vault");
    await using _ = stage().sweeper();
    await eventually(() => Promise.resolve(stage().reports.length > 0));
    expect(stage().reports[0]).toEqual(["provider-unknown", first(begun)]);
    stage().providers.set("vault", stage().bench.provider);
    await eventually(done(begun, "revoked"));
    expect((await stage().record(first(begun))).state).toBe("revoked");
  });

  it("ends one lease at once for a responder, even one that a live run holds", async () => {
    const begun = await stage().begin(database, { ...certificate, ttl: 1_000 });
    await mint(stage().minting, { ...begun, signal: never });
    await using sweeper = stage().sweeper({ held: () => true });
    expect(await sweeper.endNow(await stage().record(first(begun)), "responder")).toMatchObject({ state: "revoked" });
    const [, cert] = begun.intents;
    await expect(sweeper.endNow(await stage().record(cert?.lease ?? ""), "responder")).rejects.toMatchObject({
      code: "lease-state",
    });
    await using _ = stage().sweeper();
    await eventually(done(begun, "revoked", "expired"));
  });

  it.each([
    ["workload:github:519283746", 2],
    ["template:deploy/production", 2],
    ["provider:vault", 2],
    ["job:github:1", 2],
    ["all", 2],
    ["workload:github:1", 0],
    ["template:deploy", 0],
  ])("ends at once what the scope %s touches: %i of 2", async (scope, count) => {
    const begun = await stage().begin(database, { ...database, name: "db2" });
    await mint(stage().minting, { ...begun, signal: never });
    const later = Date.now() + 60_000;
    for (const { lease } of begun.intents) await stage().ledger.postpone(lease, later);
    await using sweeper = stage().sweeper();
    expect(await sweeper.endScope(scope)).toBe(count);
    await sweeper.endScope("all");
  });

  it("ends the database login that a lost answer left", async () => {
    const begun = await stage().begin(database);
    stage().bench.proxy.next({ kind: "drop-answer" }, { path: "/database/creds" });
    await expect(mint(stage().minting, { ...begun, signal: never })).rejects.toMatchObject({ code: "provider-unavailable" });
    expect(await aliveUpstream(stage())).not.toEqual([]);
    await using _ = stage().sweeper();
    await eventually(done(begun, "revoked"));
    expect(await stage().story(first(begun))).toEqual(["intent", "unknown", "revoked"]);
  });

  it.each([
    ["whose lease is known", false],
    ["whose answer was lost", true],
  ])("does not call a login ended while PostgreSQL refuses to drop it: one %s", async (_, isLost) => {
    const begun = await stage().begin(database);
    if (isLost) stage().bench.proxy.next({ kind: "drop-answer" }, { path: "/database/creds" });
    await mint(stage().minting, { ...begun, signal: never }).catch(() => undefined);
    const roles = await stage().bench.postgres.sql("select rolname from pg_roles where rolname like 'v-%'");
    // A role that owns something cannot be dropped.
    await stage().bench.postgres.sql(`create table kept (); alter table kept owner to "${roles.stdout.trim()}"`);
    await using sweeper = stage().sweeper();
    await eventually(async () => (await stage().record(first(begun))).attempts >= 2);
    expect(await stage().record(first(begun))).toMatchObject({ state: isLost ? "unknown" : "issued" });
    await stage().bench.postgres.sql("drop table kept");
    await eventually(done(begun, "revoked", "failed"), 15_000);
    expect((await stage().record(first(begun))).state).toBe("revoked");
    void sweeper;
  });
});
