import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Code } from "../../../src/errors.ts";
import type { Ledger } from "../../../src/ledger/ledger.ts";
import { begin, type LedgerUnderTest } from "../../conformance/ledger/under-test.ts";
import { ledgerConformance } from "../../conformance/ledger.ts";
import { type Postgres, startPostgres } from "../../servers/postgres.ts";
import { Wire } from "../../servers/wire.ts";
import { aRenewal, aSession, failed, issued, newFolder, newKey, opening, read, SetClock, unknown, within } from "../fixture.ts";
import { configFor } from "../postgres/stage.ts";
import { type BrokerLedger, digestOf, openBroker } from "./stage.ts";

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

const rowsOf = async (key: string): Promise<string> => {
  const { stdout } = await postgres.sql(
    `SELECT origin || ' ' || session || CASE WHEN confirmed_at IS NULL THEN '' ELSE ' confirmed' END FROM mayfly.spent_token WHERE token = '\\x${digestOf(key)}'`,
  );
  return stdout.trim();
};
const opens = (ledger: Ledger, token: string) =>
  ledger.openSession(aSession({ token })).then(
    () => "opened",
    (error: { readonly code: Code }) => error.code,
  );

const lock = "BEGIN; LOCK TABLE mayfly.spent_token IN ACCESS EXCLUSIVE MODE";
const waiting = async (): Promise<number> => {
  const { stdout } = await postgres.sql(
    "SELECT count(*) FROM pg_locks WHERE relation = 'mayfly.spent_token'::regclass AND NOT granted",
  );
  return Number(stdout);
};

async function lockOn(
  { host, port, superuser: user, password, database }: Postgres,
  stack: AsyncDisposableStack,
): Promise<Client> {
  const client = new Client({ host, port, user, password, database });
  await client.connect();
  stack.defer(() => client.end());
  return client;
}

ledgerConformance("SQLite that shares its tokens", async (): Promise<LedgerUnderTest> => {
  const clock = new SetClock();
  const parts = { config: configFor(postgres), origin: `brokers.test/${randomUUID()}`, clock };
  const place = { path: join(newFolder(), "ledger.db"), key: newKey() };
  let broker = await openBroker({ ...parts, ...place });
  // Each test of the suite has the store to itself.
  await postgres.sql("TRUNCATE mayfly.spent_token");
  return {
    get ledger() {
      return broker.ledger;
    },
    clock,
    restart: async () => {
      await broker[Symbol.asyncDispose]();
      broker = await openBroker({ ...parts, ...place });
    },
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  };
});

describe("two brokers that share a store", () => {
  let one: BrokerLedger;
  let other: BrokerLedger;
  beforeAll(async () => {
    [one, other] = (await Promise.all(
      ["one", "other"].map((name) => openBroker({ config: configFor(postgres), origin: `brokers.test/${name}` })),
    )) as [BrokerLedger, BrokerLedger];
  });
  afterAll(async () => {
    await Promise.all([one, other].map((broker) => broker[Symbol.asyncDispose]()));
  });
  let token: string;
  beforeEach(() => {
    token = `jti:https%3A//ci.test:${randomUUID()}`;
  });

  test("open one session with one token, however it is presented", async () => {
    const { session, run } = await begin(one.ledger, { session: opening(aSession({ token })) });
    expect(await opens(other.ledger, token)).toBe("token-spent");
    await expect(begin(other.ledger, { session: opening(aSession({ token })) })).rejects.toMatchObject({ code: "token-spent" });
    const elsewhere = await begin(other.ledger);
    await expect(other.ledger.renew(aRenewal(elsewhere.session, elsewhere.run, token))).rejects.toMatchObject({
      code: "token-spent",
    });
    await expect(one.ledger.renew(aRenewal(session, run, token))).rejects.toMatchObject({ code: "token-spent" });
    await expect.poll(() => rowsOf(token)).toBe(`brokers.test/one ${session} confirmed`);
  });

  test("open one session for fifty that race with one token", async () => {
    const race = await Promise.all(Array.from({ length: 50 }, (_, n) => opens((n % 2 === 0 ? one : other).ledger, token)));
    expect(race.filter((end) => end === "opened")).toHaveLength(1);
    expect(new Set(race)).toEqual(new Set(["opened", "token-spent"]));
  });

  test("know of each other's renewals", async () => {
    const { session, run } = await begin(one.ledger);
    await one.ledger.renew(aRenewal(session, run, token));
    expect(await opens(other.ledger, token)).toBe("token-spent");
    await expect.poll(() => rowsOf(token)).toBe(`brokers.test/one ${session} confirmed`);
  });

  test("need no store for a run within a session", async () => {
    const { session } = await begin(one.ledger, { session: opening(aSession({ token })) });
    await begin(one.ledger, { session: within(session) });
    expect(await opens(other.ledger, token)).toBe("token-spent");
  });

  type Story = (ledger: Ledger) => Promise<unknown>;
  const run = (ledger: Ledger, leases: readonly string[]) => begin(ledger, { session: opening(aSession({ token })), leases });
  test.each<readonly [string, "free" | "spent", Story]>([
    [
      "free for everybody once its mint failed",
      "free",
      async (ledger) => ledger.append((await run(ledger, [randomUUID(), randomUUID()])).leases.map(failed)),
    ],
    [
      "free when its run is refused behind a fence",
      "free",
      async (ledger) => {
        const scope = randomUUID();
        await ledger.raiseFence({ scope, closed: true, who: "ada", why: "drill" });
        const refused = begin(ledger, { session: opening(aSession({ token })), scopes: [scope] });
        await expect(refused).rejects.toMatchObject({ code: "fenced" });
      },
    ],
    [
      "free when the run that it would renew is over",
      "free",
      async (ledger) => {
        const renewed = await begin(ledger);
        await ledger.append([{ kind: "session-ended", session: renewed.session, why: "asked" }]);
        const refused = ledger.renew(aRenewal(renewed.session, renewed.run, token));
        await expect(refused).rejects.toMatchObject({ code: "session-ended" });
      },
    ],
    [
      "free with a session that it renewed and that came to nothing",
      "free",
      async (ledger) => {
        const renewed = await begin(ledger);
        await ledger.renew(aRenewal(renewed.session, renewed.run, token));
        await ledger.append(renewed.leases.map(failed));
      },
    ],
    [
      "spent when one of its leases is unknown",
      "spent",
      async (ledger) => {
        const [first = "", second = ""] = (await run(ledger, [randomUUID(), randomUUID()])).leases;
        await ledger.append([failed(first), unknown(second)]);
      },
    ],
    [
      "spent when its session was ended",
      "spent",
      async (ledger) => {
        const { session, leases } = await run(ledger, [randomUUID()]);
        await ledger.append([...leases.map(issued), { kind: "session-ended", session, why: "stale" }]);
      },
    ],
  ])("a token is %s, at once", async (_, end, story) => {
    await story(one.ledger);
    expect(await opens(other.ledger, token)).toBe(end === "free" ? "opened" : "token-spent");
    expect(await opens(one.ledger, token)).toBe("token-spent");
  });

  test("a token that the store forgot, but its broker did not, is claimed again as soon as the broker is asked", async () => {
    const { session } = await begin(one.ledger, { session: opening(aSession({ token })) });
    await expect.poll(() => rowsOf(token)).toContain("confirmed");
    await postgres.sql("TRUNCATE mayfly.spent_token");
    expect(await opens(one.ledger, token)).toBe("token-spent");
    await expect.poll(() => rowsOf(token)).toBe(`brokers.test/one ${session} confirmed`);
    expect(await opens(other.ledger, token)).toBe("token-spent");
  });

  test("a store that lost its newest rows is told them again when it is back", { timeout: 60_000 }, async () => {
    await begin(one.ledger, { session: opening(aSession({ token })) });
    await expect.poll(() => rowsOf(token)).toContain("confirmed");
    await postgres.sql("TRUNCATE mayfly.spent_token");
    await postgres.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mayfly brokers.test/o%'",
    );
    await expect.poll(() => rowsOf(token), { timeout: 30_000 }).toContain("confirmed");
    expect(await opens(other.ledger, token)).toBe("token-spent");
  });
});

describe("a broker whose store goes away", () => {
  test("opens no session, goes on with those that are open, and is back by itself", { timeout: 60_000 }, async () => {
    await using wire = await Wire.lay(postgres.port);
    await using broker = await openBroker({ config: configFor(postgres, { port: wire.port }), origin: "brokers.test/cut-off" });
    const { ledger, own } = broker;
    const { session, run, leases } = await begin(ledger);
    wire.hold();
    const since = performance.now();
    const asked = [opens(ledger, "a"), opens(ledger, "b"), ledger.renew(aRenewal(session, run, "c")).then(() => "renewed")];
    expect(await Promise.all(asked)).toEqual(["store-unavailable", "store-unavailable", "renewed"]);
    expect(performance.now() - since).toBeLessThan(2_500);
    await begin(ledger, { session: within(session) });
    await ledger.append([...leases.map(issued), read("the audit")]);
    expect(await ledger.deliver({ leases, scopes: [], fence: 0 })).toHaveLength(1);
    expect((await own.spentTokens({ after: "", limit: 9 })).map((spent) => spent.session)).toEqual([session, session]);
    wire.letGo();
    await expect.poll(() => opens(ledger, "b"), { timeout: 30_000 }).toBe("opened");
    expect(await opens(ledger, "a")).toBe("opened");
    await expect.poll(() => rowsOf("c")).toBe(`brokers.test/cut-off ${session} confirmed`);
  });

  test("keeps its claims while it settles what it does not know of others", { timeout: 60_000 }, async () => {
    await using stranger = await openBroker({ config: configFor(postgres), origin: "brokers.test/waiting" });
    const origin = "brokers.test/settling";
    const seen: string[] = [];
    const settling = async (): Promise<void> => {
      await postgres.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mayfly ${origin}'`);
      await expect.poll(() => opens(broker.ledger, randomUUID()), { timeout: 30_000 }).toBe("opened");
      seen.push(await opens(stranger.ledger, "slow"));
    };
    const between = (own: Ledger): Ledger => ({
      ...own,
      append: (events) => own.append(events),
      openSession: async (session) => {
        if (session.token.key === "slow") await settling();
        return own.openSession(session);
      },
      [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
    });
    await using broker = await openBroker({ config: configFor(postgres), origin, between });
    expect(await opens(broker.ledger, "slow")).toBe("opened");
    expect(seen).toEqual(["token-spent"]);
  });

  test("frees a claim that was made after nobody waited for it any more", { timeout: 60_000 }, async () => {
    await using broker = await openBroker({ config: configFor(postgres), origin: "brokers.test/slow" });
    await using clients = new AsyncDisposableStack();
    const locks = await Promise.all([0, 1].map(() => lockOn(postgres, clients)));
    const [first, second] = locks as [Client, Client];
    await first.query(lock);
    // It waits for the first lock to settle what was before, and then for the second to make its claim.
    const asked = opens(broker.ledger, "slow-claim");
    await expect.poll(waiting).toBe(1);
    const next = second.query(lock);
    await expect.poll(waiting).toBe(2);
    await sleep(1_000);
    await first.query("COMMIT");
    await next;
    expect(await asked).toBe("store-unavailable");
    await second.query("COMMIT");
    await expect.poll(() => rowsOf("slow-claim"), { interval: 5 }).not.toBe("");
    expect(await opens(broker.ledger, "slow-claim")).toBe("opened");
  });

  test("loses no claim and keeps none when each answer is lost", { timeout: 60_000 }, async () => {
    await using wire = await Wire.lay(postgres.port);
    await using broker = await openBroker({ config: configFor(postgres, { port: wire.port }), origin: "brokers.test/lossy" });
    for (let round = 0; round < 5; round++) {
      const tokens = Array.from({ length: 20 }, () => randomUUID());
      const asked = Promise.all(tokens.map((token) => opens(broker.ledger, token)));
      await expect.poll(() => rowsOf(tokens[round] ?? ""), { interval: 1 }).not.toBe("");
      await wire.cut();
      const outcomes = await asked;
      await wire.mend();
      await expect.poll(() => opens(broker.ledger, randomUUID()), { timeout: 30_000 }).toBe("opened");
      for (const [n, token] of tokens.entries()) {
        const again = await opens(broker.ledger, token);
        expect(again).toBe(outcomes[n] === "opened" ? "token-spent" : "opened");
      }
    }
  });

  test("frees a token whose mint failed meanwhile, as soon as it is back", { timeout: 60_000 }, async () => {
    await using wire = await Wire.lay(postgres.port);
    await using broker = await openBroker({ config: configFor(postgres, { port: wire.port }), origin: "brokers.test/late" });
    const session = aSession({ token: "late" });
    const { leases } = await begin(broker.ledger, { session: opening(session) });
    await expect.poll(() => rowsOf("late")).toContain("confirmed");
    wire.hold();
    const since = performance.now();
    await broker.ledger.append(leases.map(failed));
    expect(performance.now() - since).toBeLessThan(1_000);
    wire.letGo();
    await wire.cut();
    await wire.mend();
    await expect.poll(() => rowsOf("late"), { timeout: 30_000 }).toBe("");
  });
});

describe("a broker whose ledger does not answer", () => {
  test("does not give its claim away before it knows", { timeout: 60_000 }, async () => {
    const parts = { config: configFor(postgres), origin: "brokers.test/closed" };
    const place = { path: join(newFolder(), "ledger.db"), key: newKey() };
    await using stranger = await openBroker({ config: parts.config, origin: "brokers.test/stranger" });
    {
      await using broker = await openBroker({ ...parts, ...place });
      await broker.own[Symbol.asyncDispose]();
      expect(await opens(broker.ledger, "t")).toBe("ledger-unavailable");
    }
    {
      await using broker = await openBroker({ ...parts, ...place });
      // As if the broker had been killed after its claim.
      await broker.store.claim({ key: "u", session: "killed", forgetAfter: Date.now() });
    }
    expect(await opens(stranger.ledger, "u")).toBe("token-spent");
    await using broker = await openBroker({ ...parts, ...place });
    await expect.poll(() => opens(stranger.ledger, "u")).toBe("opened");
    expect(await opens(broker.ledger, "t")).toBe("opened");
  });
});
