import { afterEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { mint } from "../../src/lease/mint.ts";
import type { Ending, Minted } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import {
  aliveUpstream,
  type Begun,
  certificate,
  database,
  eventually,
  expectNothingLeft,
  logsIn,
  lying,
  refused,
  stored,
  useStage,
  type Wanted,
} from "./stage.ts";

const never = new AbortController().signal;
describe("minting the credentials of a grant", () => {
  const stage = useStage();
  afterEach(async () => {
    stage().bench.proxy.heal();
    await using sweeper = stage().sweeper();
    await eventually(async () => (await stage().ledger.openLeases()).length === 0);
    void sweeper;
    await expectNothingLeft(stage());
  });

  const minted = (begun: Begun) => mint(stage().minting, { ...begun, signal: never });
  const leaseOf = (begun: Begun, name: string): string =>
    begun.intents.find(({ credential }) => credential === name)?.lease ?? "";

  it("gives all of them, each recorded with how it ends and hidden from the log", async () => {
    const begun = await stage().begin(database, stored, { ...certificate, ttl: 1_000 });
    await using leases = await minted(begun);
    expect(leases.all.map(({ credential, material, ending }) => [credential, material.kind, ending.kind])).toEqual([
      ["db", "username-password", "revoke"],
      ["kv", "fields", "static"],
      ["cert", "x509", "expires"],
    ]);
    for (const secret of leases.secrets) expect(stage().hidden.has(secret)).toBe(true);
    expect(await stage().record(leaseOf(begun, "db"))).toMatchObject({
      state: "issued",
      ending: "revoke",
      handle: { path: "database/creds/shop-migrate" },
    });
    expect(await stage().record(leaseOf(begun, "kv"))).toMatchObject({ state: "issued", ending: "static", expiresAt: null });
    expect(await stage().record(leaseOf(begun, "cert"))).toMatchObject({ state: "issued", ending: "expires", handle: null });
    const [db] = leases.all;
    expect(db !== undefined && (await logsIn(stage(), db))).toBe(true);
  });

  it("gives none when one is refused, and ends the others", async () => {
    const begun = await stage().begin(database, refused);
    await expect(minted(begun)).rejects.toMatchObject({ code: "provider-refused" });
    expect(await stage().story(leaseOf(begun, "no"))).toEqual(["intent", "failed"]);
    expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "issued", "revoked"]);
  });

  it("says that a provider is down, and that nothing was issued", async () => {
    const begun = await stage().begin(database);
    await stage().bench.proxy.refuse();
    await expect(minted(begun)).rejects.toMatchObject({ code: "provider-unavailable" });
    await stage().bench.proxy.accept();
    expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
  });

  it("refuses a provider that is not configured, without asking the others' patience", async () => {
    const begun = await stage().begin({ ...database, provider: "nobody" });
    await expect(minted(begun)).rejects.toMatchObject({ code: "provider-unknown", message: "no provider is called nobody" });
    expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
  });

  it.each(["reset", "drop-answer"] as const)("calls it unknown when an answer is lost (%s)", async (kind) => {
    const begun = await stage().begin(database);
    stage().bench.proxy.next({ kind }, { path: "/database/creds" });
    await expect(minted(begun)).rejects.toMatchObject({
      code: "provider-unavailable",
      message: "the answer of the provider vault was lost",
    });
    expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "unknown"]);
  });

  it("does not take a provider's complaint for certainty: what it gave too much of is looked for and ended", async () => {
    const begun = await stage().begin({ ...database, options: { path: "database/creds/shop-eternal", kind: "dynamic" } });
    await expect(minted(begun)).rejects.toMatchObject({ code: "provider-broken-promise" });
    expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "unknown"]);
    expect(await aliveUpstream(stage())).not.toEqual([]);
  });

  it("waits no longer than its patience, and calls it unknown", async () => {
    const begun = await stage().begin(database);
    stage().bench.proxy.next({ kind: "black-hole" }, { path: "/database/creds" });
    const before = performance.now();
    await expect(minted(begun)).rejects.toMatchObject({ code: "provider-unavailable" });
    expect(performance.now() - before).toBeLessThan(4_000);
    expect((await stage().record(leaseOf(begun, "db"))).state).toBe("unknown");
  });

  it("stops with the caller's own reason when the caller goes away", async () => {
    const begun = await stage().begin(database);
    stage().bench.proxy.next({ kind: "black-hole" }, { path: "/database/creds" });
    const fenced = new AbortController();
    setTimeout(() => fenced.abort(new BrokerError("fenced")), 50);
    await expect(mint(stage().minting, { ...begun, signal: fenced.signal })).rejects.toMatchObject({ code: "fenced" });
    expect((await stage().record(leaseOf(begun, "db"))).state).toBe("unknown");
  });

  it("hands out nothing that the ledger did not take down, and ends it", async () => {
    const begun = await stage().begin(database);
    const minting = { ...stage().minting, ledger: stage().closedLedger };
    await expect(mint(minting, { ...begun, signal: never })).rejects.toMatchObject({ code: "ledger-unavailable" });
    expect(await aliveUpstream(stage())).toEqual([]);
    expect((await stage().record(leaseOf(begun, "db"))).state).toBe("intent");
  });

  describe("checks the provider's word", () => {
    const token = (): Minted["material"] => ({ kind: "bearer", token: Secret.of("canary-token") });
    const until = (span: number): Ending => ({ kind: "revoke", handle: { id: "1" }, expiresAt: Date.now() + span });
    const broken: readonly (readonly [string, Minted, readonly string[]])[] = [
      [
        "another kind of material",
        {
          material: { kind: "username-password", username: "u", password: Secret.of("canary-password") },
          ending: until(1_000),
        },
        ["intent", "issued", "revoked"],
      ],
      ["a longer life than asked", { material: token(), ending: until(3_600_000) }, ["intent", "issued", "revoked"]],
      // No ledger takes it down, so it stays an intent, and the sweeper asks the provider.
      ["an expiry that is no date", { material: token(), ending: until(Number.NaN) }, ["intent"]],
    ];
    const fromLiar: Wanted = { name: "lie", provider: "liar", options: {}, ttl: 60_000 };

    it.each(broken)("%s is ended and not handed out", async (_, answer, story) => {
      stage().providers.set(
        "liar",
        lying(() => Promise.resolve(answer)),
      );
      const begun = await stage().begin(fromLiar);
      await expect(minted(begun)).rejects.toMatchObject({ code: "provider-broken-promise" });
      expect(await stage().story(leaseOf(begun, "lie"))).toEqual(story);
    });

    it("what was promised passes: the control", async () => {
      stage().providers.set(
        "liar",
        lying(() => Promise.resolve({ material: token(), ending: until(60_000) })),
      );
      const begun = await stage().begin(fromLiar);
      await using leases = await minted(begun);
      expect(leases.all).toHaveLength(1);
    });

    it("a provider that ignores its signal is left behind, and what it gives too late is wiped", async () => {
      const late = Secret.of("canary-late");
      stage().providers.set(
        "liar",
        lying(async () => {
          await new Promise((resolve) => setTimeout(resolve, 600));
          return { material: { kind: "bearer", token: late }, ending: until(1_000) };
        }),
      );
      const begun = await stage().begin(fromLiar);
      const before = performance.now();
      await expect(mint({ ...stage().minting, patience: 100 }, { ...begun, signal: never })).rejects.toMatchObject({
        code: "provider-unavailable",
      });
      expect(performance.now() - before).toBeLessThan(550);
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(late.length).toBe(0);
    });
  });
});
