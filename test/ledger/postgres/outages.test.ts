import { fork } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PostgresSpentTokens } from "../../../src/ledger/postgres/spent-tokens.ts";
import { type Postgres, startPostgres } from "../../servers/postgres.ts";
import { Wire } from "../../servers/wire.ts";
import { configFor, openStore, storeOf } from "./stage.ts";

const away = "the store that brokers share cannot be reached, so no token is accepted";
const aToken = () => ({ key: crypto.randomUUID(), session: crypto.randomUUID(), forgetAfter: Date.now() + 3_600_000 });
const claimed = (store: PostgresSpentTokens) =>
  store.claim(aToken()).then(
    () => "claimed",
    (error: { readonly code: string }) => error.code,
  );
const isBack = async (store: PostgresSpentTokens): Promise<number> => {
  const since = performance.now();
  await expect.poll(() => claimed(store), { timeout: 30_000, interval: 100 }).toBe("claimed");
  return performance.now() - since;
};

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

describe("a store that goes away", () => {
  type Outage = { readonly away: (wire: Wire) => unknown; readonly back: (wire: Wire) => unknown };
  test.each<readonly [string, Outage]>([
    ["whose server stops", { away: () => postgres.halt("stopped"), back: () => postgres.resume() }],
    ["whose server is killed", { away: () => postgres.halt("killed"), back: () => postgres.resume() }],
    ["that nobody can connect to", { away: (wire) => wire.cut(), back: (wire) => wire.mend() }],
    ["from which no answer comes", { away: (wire) => wire.hold(), back: (wire) => wire.letGo() }],
  ])("%s is said to be away within two seconds, and is found again by itself", { timeout: 60_000 }, async (_, outage) => {
    await using wire = await Wire.lay(postgres.port);
    const reports: (string | undefined)[] = [];
    const config = configFor(postgres, { port: wire.port });
    await using store = await openStore({ config, origin: "brokers.test/outage", reports });
    expect([await claimed(store), store.trouble]).toEqual(["claimed", undefined]);
    const { generation } = store;
    try {
      await outage.away(wire);
      // A killed server's processes may answer once more before they notice.
      await expect.poll(() => claimed(store), { timeout: 5_000, interval: 1 }).not.toBe("claimed");
      for (let n = 0; n < 3; n++) {
        const since = performance.now();
        expect(await claimed(store)).toBe("store-unavailable");
        expect(performance.now() - since).toBeLessThan(2_300);
      }
      expect(store.trouble).toMatchObject({ code: "store-unavailable", message: away });
    } finally {
      await outage.back(wire);
    }
    expect(await isBack(store)).toBeLessThan(30_000);
    expect(store.trouble).toBeUndefined();
    expect(store.generation).toBeGreaterThan(generation);
    expect([reports.at(0), reports.includes(away), reports.at(-1)]).toEqual([undefined, true, undefined]);
  });

  test("at the start is no reason not to start", { timeout: 60_000 }, async () => {
    await using wire = await Wire.lay(postgres.port);
    await wire.cut();
    await using store = storeOf({ config: configFor(postgres, { port: wire.port }), origin: "brokers.test/late" });
    expect(await claimed(store)).toBe("store-unavailable");
    await store.connect();
    expect(await claimed(store)).toBe("store-unavailable");
    await wire.mend();
    await isBack(store);
  });

  test("and ends an idle connection ends nothing else", { timeout: 60_000 }, async () => {
    await using store = await openStore({ config: configFor(postgres), origin: "brokers.test/idle" });
    await postgres.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mayfly brokers.test/idle'",
    );
    await isBack(store);
  });

  test("and loses its table says so, and makes it again", { timeout: 60_000 }, async () => {
    await using store = await openStore({ config: configFor(postgres), origin: "brokers.test/table" });
    await postgres.sql("DROP SCHEMA mayfly CASCADE");
    expect(await claimed(store)).toBe("store-unavailable");
    await isBack(store);
  });

  test("takes no more claims than it can remember, and those that nobody waits for any more are never made", {
    timeout: 60_000,
  }, async () => {
    await using wire = await Wire.lay(postgres.port);
    const config = configFor(postgres, { port: wire.port });
    await using store = await openStore({ config, origin: "brokers.test/many" });
    wire.hold();
    const since = performance.now();
    const waits = await Promise.all(
      Array.from({ length: 5_000 }, async () => {
        expect(await claimed(store)).toBe("store-unavailable");
        return performance.now() - since;
      }),
    );
    expect(waits.filter((wait) => wait > 1_500)).toHaveLength(1_000);
    wire.letGo();
    await isBack(store);
    const { stdout } = await postgres.sql("SELECT count(*) FROM mayfly.spent_token WHERE origin = 'brokers.test/many'");
    expect(Number(stdout)).toBeLessThanOrEqual(2);
  });
});

describe("two brokers of one origin", () => {
  const origin = "brokers.test/twins";
  const refusal = {
    code: "config-invalid",
    message: "another broker of the same origin uses the shared store",
    hint: "stop it, or give each broker an `identity.origin` of its own",
  };

  test("are never both heard, and one that was closed makes room", { timeout: 30_000 }, async () => {
    const first = await openStore({ config: configFor(postgres), origin });
    await expect(openStore({ config: configFor(postgres), origin })).rejects.toMatchObject(refusal);
    await using third = await openStore({ config: configFor(postgres), origin: `${origin}/other` });
    expect([await claimed(first), await claimed(third)]).toEqual(["claimed", "claimed"]);
    await first[Symbol.asyncDispose]();
    await using second = await openStore({ config: configFor(postgres), origin });
    expect(await claimed(second)).toBe("claimed");
  });

  test("where the first was killed, the second takes its place at once", { timeout: 30_000 }, async () => {
    const config = configFor(postgres);
    const child = fork(new URL("claimer.ts", import.meta.url), [JSON.stringify({ config, origin }), "a token"], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await new Promise((claimed) => child.once("message", claimed));
    child.kill("SIGKILL");
    await using second = await openStore({ config, origin });
    const token = { key: "a token", session: "another", forgetAfter: Date.now() };
    await expect(second.claim(token)).rejects.toMatchObject({ code: "token-spent" });
    await second.releaseUnconfirmed([]);
    await second.claim(token);
  });
});
