import { describe, expect, it } from "vitest";
import { mint } from "../../src/lease/mint.ts";
import { aliveUpstream, certificate, database, eventually, logsIn, stored, useStage } from "./stage.ts";

const never = new AbortController().signal;
describe("ending the leases of a job", () => {
  const stage = useStage();

  it("revokes what can be revoked, and says honestly what cannot", async () => {
    const begun = await stage().begin(database, stored, { ...certificate, ttl: 2_000 });
    const leases = await mint(stage().minting, { ...begun, signal: never });
    const [db] = leases.all;
    const login =
      db?.material.kind === "username-password"
        ? { user: db.material.username, password: db.material.password.use(String) }
        : { user: "", password: "" };
    expect(db !== undefined && (await logsIn(stage(), db))).toBe(true);
    const ends = await leases.end(1_500);
    expect(ends.map(({ credential, end }) => [credential, end])).toEqual([
      ["db", "revoked"],
      ["kv", "exposed"],
      ["cert", "expires"],
    ]);
    expect(await stage().bench.postgres.sql("select 1", login)).toMatchObject({ code: 2 });
    expect(await Promise.all(begun.intents.map(({ lease }) => stage().story(lease)))).toEqual([
      ["intent", "issued", "revoked"],
      ["intent", "issued", "exposed"],
      ["intent", "issued"],
    ]);
    expect(leases.secrets.map(({ length }) => length)).toEqual(leases.secrets.map(() => 0));
    expect(stage().hidden.size).toBe(0);
    expect(await leases.end(1_500)).toBe(ends);
  });

  it("takes at most two seconds when the upstream is a black hole; the sweeper ends it once that is over", async () => {
    const begun = await stage().begin(database);
    const leases = await mint(stage().minting, { ...begun, signal: never });
    stage().bench.proxy.always({ kind: "black-hole" });
    const before = performance.now();
    expect(await leases.end(1_500)).toMatchObject([{ end: "pending" }]);
    expect(performance.now() - before).toBeLessThan(2_000);
    const lease = begun.intents[0]?.lease ?? "";
    expect(await stage().story(lease)).toEqual(["intent", "issued", "revocation-failed"]);
    expect(await aliveUpstream(stage())).not.toEqual([]);
    stage().bench.proxy.heal();
    await using sweeper = stage().sweeper();
    await eventually(async () => (await stage().record(lease)).state === "revoked");
    void sweeper;
    expect(await stage().record(lease)).toMatchObject({ state: "revoked" });
    expect(await aliveUpstream(stage())).toEqual([]);
  });

  it("happens on leaving the scope, whatever throws in it", async () => {
    const begun = await stage().begin(database);
    const job = async (): Promise<never> => {
      await using leases = await mint(stage().minting, { ...begun, signal: never });
      throw new Error(`the job broke with ${leases.all.length}`);
    };
    await expect(job()).rejects.toThrow("the job broke with 1");
    expect(await aliveUpstream(stage())).toEqual([]);
  });

  it("does not mind that somebody else was quicker", async () => {
    const begun = await stage().begin(database);
    const leases = await mint(stage().minting, { ...begun, signal: never });
    await using sweeper = stage().sweeper();
    await eventually(async () => (await stage().record(begun.intents[0]?.lease ?? "")).state === "revoked");
    void sweeper;
    expect(await leases.end(1_500)).toMatchObject([{ end: "revoked" }]);
  });
});
