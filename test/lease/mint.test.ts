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

  describe("of a provider that is down", () => {
    const creds = { path: "/database/creds" };
    /** What OpenBao says while it is sealed: certainly nothing came into being. */
    const sealed = { kind: "answer", status: 503, body: '{"errors":["Vault is sealed"]}' } as const;

    it("asks again on the same intent, until it is back", async () => {
      const begun = await stage().begin({ ...database, wait: 10_000 });
      stage().bench.proxy.next(sealed, creds, 3);
      const before = stage().bench.proxy.struck;
      await using leases = await minted(begun);
      expect(stage().bench.proxy.struck - before).toBe(3);
      expect([leases.all.length, leases.missing]).toEqual([1, []]);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "issued"]);
    });

    it("asks again where nobody listens, too", async () => {
      const begun = await stage().begin({ ...database, wait: 10_000 });
      await stage().bench.proxy.refuse();
      const back = setTimeout(() => void stage().bench.proxy.accept(), 700);
      await using leases = await minted(begun);
      clearTimeout(back);
      expect(leases.all).toHaveLength(1);
    });

    it("gives up when its time is over, after growing pauses", async () => {
      const begun = await stage().begin({ ...database, wait: 2_000 });
      stage().bench.proxy.always(sealed, creds);
      const [struck, before] = [stage().bench.proxy.struck, performance.now()];
      await expect(minted(begun)).rejects.toMatchObject({ code: "provider-unavailable" });
      expect(performance.now() - before).toBeGreaterThan(1_950);
      expect(performance.now() - before).toBeLessThan(4_000);
      const asked = stage().bench.proxy.struck - struck;
      expect(asked).toBeGreaterThanOrEqual(4);
      expect(asked).toBeLessThanOrEqual(8);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
    });

    it("asks three times at most where it may not wait, within a second", async () => {
      const begun = await stage().begin(database);
      stage().bench.proxy.always(sealed, creds);
      const [struck, before] = [stage().bench.proxy.struck, performance.now()];
      await expect(minted(begun)).rejects.toMatchObject({ code: "provider-unavailable" });
      expect(stage().bench.proxy.struck - struck).toBe(3);
      expect(performance.now() - before).toBeLessThan(2_000);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
    });

    it("gets over a passing trouble without any wait", async () => {
      const begun = await stage().begin(database);
      stage().bench.proxy.next(sealed, creds, 2);
      await using leases = await minted(begun);
      expect(leases.all).toHaveLength(1);
    });

    it("is not asked again and again by one job after the other, while another template still is", async () => {
      const { circuits, ...minting } = stage().minting;
      const ask = (begun: Begun) => mint({ ...minting, circuits }, { ...begun, signal: never });
      stage().bench.proxy.always(sealed, creds);
      for (let jobs = 0; jobs < 2; jobs += 1)
        await expect(ask(await stage().begin(database))).rejects.toMatchObject({ code: "provider-unavailable" });
      expect(circuits.open()).toMatchObject([{ provider: "vault", failures: 5 }]);
      const [struck, before] = [stage().bench.proxy.struck, performance.now()];
      const spared = await stage().begin(database);
      await expect(ask(spared)).rejects.toMatchObject({
        code: "provider-unavailable",
        hint: expect.stringContaining("it was not asked"),
      });
      expect(stage().bench.proxy.struck - struck).toBe(0);
      expect(performance.now() - before).toBeLessThan(500);
      expect(await stage().story(leaseOf(spared, "db"))).toEqual(["intent", "failed"]);
      stage().bench.proxy.heal();
      await using leases = await ask(await stage().begin({ ...database, name: "another" }));
      expect([leases.all.length, circuits.open()]).toEqual([1, []]);
    });

    it("stops waiting at once when the caller goes away, certain that nothing came into being", async () => {
      const begun = await stage().begin({ ...database, wait: 60_000 });
      stage().bench.proxy.always(sealed, creds);
      const fenced = new AbortController();
      setTimeout(() => fenced.abort(new BrokerError("fenced")), 1_000);
      const before = performance.now();
      await expect(mint(stage().minting, { ...begun, signal: fenced.signal })).rejects.toMatchObject({ code: "fenced" });
      expect(performance.now() - before).toBeLessThan(1_400);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
    });

    it.each<[string, Parameters<ReturnType<typeof stage>["bench"]["proxy"]["next"]>[0], string]>([
      ["refuses", { kind: "answer", status: 403, body: '{"errors":["permission denied"]}' }, "failed"],
      ["may have done it (reset)", { kind: "reset" }, "unknown"],
      ["may have done it (drop-answer)", { kind: "drop-answer" }, "unknown"],
    ])("does not ask again one that %s", async (_, fault, outcome) => {
      const begun = await stage().begin({ ...database, wait: 5_000 });
      stage().bench.proxy.next(fault, creds);
      const asked = stage().bench.proxy.seen.filter((line) => line.includes("/database/creds")).length;
      await expect(minted(begun)).rejects.toBeInstanceOf(BrokerError);
      expect(stage().bench.proxy.seen.filter((line) => line.includes("/database/creds")).length - asked).toBe(1);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", outcome]);
    });

    it("goes on without an optional credential, and gives the others", async () => {
      const begun = await stage().begin({ ...database, optional: true, wait: 300 }, { ...certificate, ttl: 1_000 });
      stage().bench.proxy.always(sealed, creds);
      await using leases = await minted(begun);
      expect(leases.all.map(({ credential }) => credential)).toEqual(["cert"]);
      expect(leases.missing).toMatchObject([{ credential: "db", lease: leaseOf(begun, "db") }]);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "failed"]);
    });

    it("goes on without an optional one whose answer was lost; the sweeper ends what came of it", async () => {
      const begun = await stage().begin({ ...database, optional: true }, { ...certificate, ttl: 1_000 });
      stage().bench.proxy.next({ kind: "drop-answer" }, creds);
      await using leases = await minted(begun);
      expect([leases.all.length, leases.missing.length]).toEqual([1, 1]);
      expect(await stage().story(leaseOf(begun, "db"))).toEqual(["intent", "unknown"]);
      expect(await aliveUpstream(stage())).not.toEqual([]);
    });

    it.each<[string, Wanted]>([
      ["that is refused", { ...refused, optional: true }],
      ["of a provider that nobody configured", { ...database, name: "no", provider: "nobody", optional: true }],
    ])("does not go on without an optional credential %s", async (_, wanted) => {
      const begun = await stage().begin({ ...certificate, ttl: 1_000 }, wanted);
      await expect(minted(begun)).rejects.toMatchObject({ code: expect.stringMatching(/^provider-(refused|unknown)$/) });
    });

    it("does not go on without an optional one that breaks its promise, or once the caller has gone", async () => {
      const eternal = { path: "database/creds/shop-eternal", kind: "dynamic" };
      await expect(minted(await stage().begin({ ...database, options: eternal, optional: true }))).rejects.toMatchObject({
        code: "provider-broken-promise",
      });
      const gone = AbortSignal.abort(new BrokerError("cancelled"));
      const begun = await stage().begin({ ...database, optional: true });
      await expect(mint(stage().minting, { ...begun, signal: gone })).rejects.toMatchObject({ code: "cancelled" });
    });
  });

  describe("when one of a set fails", () => {
    const bearer = (): Minted => ({
      material: { kind: "bearer", token: Secret.of("canary-token") },
      ending: { kind: "revoke", handle: { id: "1" }, expiresAt: Date.now() + 1_000 },
    });
    const after =
      (span: number, act: () => Minted): (() => Promise<Minted>) =>
      async () => {
        await new Promise((resolve) => setTimeout(resolve, span));
        return act();
      };
    const refuse = (): never => {
      throw new BrokerError("provider-refused");
    };
    const from = (provider: string, parts: Partial<Wanted> = {}): Wanted => ({
      name: provider,
      provider,
      options: {},
      ttl: 60_000,
      ...parts,
    });

    it("ends at once what was minted, and what comes later when it comes", async () => {
      stage().providers.set("quick", lying(after(0, bearer)));
      stage().providers.set("failing", lying(after(200, refuse)));
      stage().providers.set("slow", lying(after(1_500, bearer)));
      const begun = await stage().begin(from("slow"), from("quick"), from("failing"));
      const before = performance.now();
      const outcome = minted(begun).catch((error: unknown) => error);
      await eventually(async () => (await stage().record(leaseOf(begun, "quick"))).state === "revoked", 5_000);
      expect(performance.now() - before).toBeLessThan(1_000);
      expect(await outcome).toMatchObject({ code: "provider-refused" });
      expect(await stage().story(leaseOf(begun, "slow"))).toEqual(["intent", "issued", "revoked"]);
      expect(stage().hidden.size).toBe(0);
    });

    it("asks nobody again, and hears of the first failure alone", async () => {
      stage().providers.set("failing", lying(after(300, refuse)));
      stage().providers.set("down", lying(after(0, () => raise(new BrokerError("provider-unavailable")))));
      const begun = await stage().begin(from("down", { wait: 60_000 }), from("failing"));
      const before = performance.now();
      await expect(minted(begun)).rejects.toMatchObject({ code: "provider-refused" });
      expect(performance.now() - before).toBeLessThan(1_500);
      expect(await stage().story(leaseOf(begun, "down"))).toEqual(["intent", "failed"]);
    });

    it("does not end the others for an optional one that is missing: the control", async () => {
      stage().providers.set("quick", lying(after(0, bearer)));
      stage().providers.set("down", lying(after(0, () => raise(new BrokerError("provider-unavailable")))));
      const begun = await stage().begin(from("quick"), from("down", { optional: true }));
      await using leases = await minted(begun);
      expect(leases.all).toHaveLength(1);
    });

    function raise(error: Error): never {
      throw error;
    }
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
