import { fork } from "node:child_process";
import { randomInt, randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { startPostgres } from "../../servers/postgres.ts";
import { aSession, newFolder, newKey } from "../fixture.ts";
import { configFor } from "../postgres/stage.ts";
import { digestOf, openBroker } from "./stage.ts";

const kills = 8;

interface Told {
  readonly token: string;
  readonly end: "free" | "spent";
}

test(`a broker killed ${kills} times while it opens sessions leaves no token spent that its ledger does not know, and none free that it does`, {
  timeout: 120_000,
}, async () => {
  await using postgres = await startPostgres();
  const parts = { config: configFor(postgres), origin: "brokers.test/killed", path: join(newFolder(), "ledger.db") };
  const key = newKey();
  const pem = String(key.export({ format: "pem", type: "pkcs8" }));
  await using stranger = await openBroker({ config: parts.config, origin: "brokers.test/stranger" });
  const stored = async (where: string): Promise<ReadonlySet<string>> => {
    const { stdout } = await postgres.sql(
      `SELECT encode(token, 'hex') FROM mayfly.spent_token WHERE origin = '${parts.origin}' AND ${where}`,
    );
    return new Set(stdout.split("\n").filter(Boolean));
  };
  let [unconfirmed, told] = [0, 0];
  for (let round = 0; round < kills; round++) {
    const child = fork(new URL("opener.ts", import.meta.url), [JSON.stringify({ ...parts, pem })], { execArgv: [] });
    const heard: Told[] = [];
    child.on("message", (message) => heard.push(message as Told));
    for (const enough = randomInt(3, 13); heard.length < enough; ) await once(child, "message");
    await sleep(randomInt(20));
    child.kill("SIGKILL");
    await once(child, "close");
    unconfirmed += (await stored("confirmed_at IS NULL")).size;
    told += heard.length;

    await using broker = await openBroker({ ...parts, key });
    // The first claim waits for the settlement.
    await broker.ledger.openSession(aSession());
    const known = (await broker.own.spentTokens({ after: "", limit: 5_000 })).map((spent) => digestOf(spent.key));
    await expect.poll(() => stored("confirmed_at IS NOT NULL")).toEqual(new Set(known));
    expect(await stored("confirmed_at IS NULL")).toEqual(new Set());
    for (const { token, end } of heard.slice(-20)) {
      const outcome = await stranger.ledger.openSession(aSession({ id: randomUUID(), token })).then(
        () => "free",
        ({ code }: { readonly code: string }) => code,
      );
      expect(outcome).toBe(end === "free" ? "free" : "token-spent");
    }
  }
  expect(told).toBeGreaterThanOrEqual(kills * 3);
  // Else the kills were never where they should be.
  expect(unconfirmed).toBeGreaterThan(0);
});
