import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { limits } from "../../src/api/limits.ts";
import { type Frequency, Tarpit } from "../../src/api/tarpit.ts";
import { ManualClock } from "../identity/manual-clock.ts";
import { openDoor, refusal } from "./open-door.ts";

/* Each test has a door of its own, and mostly waits: they run beside each other. */

/** Milliseconds until the call was answered, whatever the answer. */
async function time(call: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await call().catch(() => undefined);
  return performance.now() - before;
}

const getStatus = ["-H", "content-type: application/json", "-d", "{}", "http://broker/mayfly.v1.BrokerService/GetStatus"];

const unreadableStart = [
  "-H",
  "content-type: application/json",
  "-d",
  '{"token":',
  "http://broker/mayfly.v1.BrokerService/StartSession",
];

/** As many as are answered at once, of which some may have been before. */
async function refusedTooOften(paths: Readonly<Record<"broker", string>>, before = 0): Promise<void> {
  using client = openClient(BrokerService, paths.broker);
  for (let count = before; count < limits.refusals; count += 1) {
    const began = performance.now();
    expect(await refusal(client.call.startSession({ token: "spent" }))).toMatchObject({ code: "token-spent" });
    expect(performance.now() - began).toBeLessThan(limits.hold);
  }
}

describe.concurrent("refusals", () => {
  test("are answered at once as long as they are rare, and a second later beyond that", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    using client = openClient(BrokerService, open.door.paths.broker);
    const held = await time(() => client.call.startSession({ token: "spent" }));
    expect(held).toBeGreaterThanOrEqual(limits.hold - 20);
    expect(held).toBeLessThan(limits.hold * 2);
  });

  test("for want of the site's last word are held back too, since what was asked may be why, but not for want of an issuer", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    using client = openClient(BrokerService, open.door.paths.broker);
    expect(await time(() => client.call.startSession({ token: "keyless" }))).toBeLessThan(limits.hold);
    expect(await time(() => client.call.startSession({ token: "unheard" }))).toBeGreaterThanOrEqual(limits.hold - 20);
  });

  test("of a user cost a good call of the same user nothing, on a connection of its own", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    using bad = openClient(BrokerService, open.door.paths.broker);
    const held = Array.from({ length: limits.waitingCalls }, () => refusal(bad.call.startSession({ token: "spent" })));
    await sleep(100);
    using good = openClient(BrokerService, open.door.paths.broker);
    expect(await time(() => good.call.startSession({ token: "t" }))).toBeLessThan(limits.hold);
    const codes = (await Promise.all(held)).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(["token-spent"]));
  });

  test("hold up what comes behind them on their connection; of that, a few wait and the rest is refused unseen", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    using bad = openClient(BrokerService, open.door.paths.broker);
    const first = refusal(bad.call.startSession({ token: "spent" }));
    await sleep(100);
    const behind = Array.from({ length: limits.waitingCalls + 5 }, () => bad.call.startSession({ token: "t" }));
    const before = performance.now();
    const outcomes = await Promise.all(
      behind.map((call) =>
        call.then(
          () => "answered",
          async () => (await refusal(call)).code,
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "answered")).toHaveLength(limits.waitingCalls);
    expect(new Set(outcomes)).toEqual(new Set(["answered", "busy"]));
    expect(performance.now() - before).toBeGreaterThan((limits.waitingCalls - 1) * limits.hold);
    expect(await first).toMatchObject({ code: "token-spent" });
  });

  test("of a process that presses on keep it out for a while, and nobody else", () => {
    const clock = new ManualClock(0);
    const tarpit = new Tarpit(clock);
    const connection = { peer: { uid: 1000, gid: 1000, pid: 4711, cgroup: undefined } };
    const counted = Array.from({ length: limits.refusalsOfProcess + 1 }, () => tarpit.count(connection));
    const times = (frequency: Frequency) => counted.filter((one) => one === frequency).length;
    expect([times("rare"), times("often"), times("pressing")]).toEqual([60, limits.refusalsOfProcess - 60, 1]);
    expect([tarpit.keepsOut(4711), tarpit.keepsOut(4712)]).toEqual([true, false]);
    clock.advance(limits.keptOut);
    expect(tarpit.keepsOut(4711)).toBe(false);
  });

  test("of a thousand processes are held against none that was never told apart from the others", () => {
    const tarpit = new Tarpit(new ManualClock(0));
    const refused = (pid: number) => tarpit.count({ peer: { uid: 1000, gid: 1000, pid, cgroup: undefined } });
    for (let pid = 1; pid <= 2_000; pid += 1) refused(pid);
    expect([refused(3_000), tarpit.keepsOut(3_000)]).toEqual(["often", false]);
  });

  test("that go on end the connection, and the process finds the door shut", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    for (let turn = 0; turn * limits.streams < limits.refusalsOfProcess; turn += 1) {
      using bad = openClient(BrokerService, open.door.paths.broker);
      await Promise.race([
        sleep(500),
        Promise.all(Array.from({ length: limits.streams }, () => refusal(bad.call.startSession({ token: "" })))),
      ]);
    }
    using again = openClient(BrokerService, open.door.paths.broker);
    expect(await refusal(again.call.startSession({ token: "t" }))).toMatchObject({ code: "cancelled" });
    expect(open.logged.filter(({ message }) => message.includes("kept out"))).toHaveLength(1);
    const other = await promisify(execFile)("curl", ["--unix-socket", open.door.paths.broker, "-s", ...getStatus]);
    expect(JSON.parse(other.stdout)).toMatchObject({ capacity: expect.any(Number) });
  });

  test("of requests that cannot be read are on record and held back like any other", async () => {
    await using open = await openDoor();
    const garbage = () => promisify(execFile)("curl", ["--unix-socket", open.door.paths.broker, "-s", ...unreadableStart]);
    expect(JSON.parse((await garbage()).stdout)).toMatchObject({ code: "invalid_argument" });
    const [entry] = await open.ledger.entries({ limit: 9, kinds: ["denied"] });
    expect(entry?.event).toMatchObject({ code: "usage", message: "a request that cannot be read" });
    await refusedTooOften(open.door.paths, 1);
    expect(await time(garbage)).toBeGreaterThanOrEqual(limits.hold - 20);
  });

  test("whose callers hang up are counted, and no longer written down", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    const before = open.logged.length;
    for (let count = 0; count < 20; count += 1) {
      using client = openClient(BrokerService, open.door.paths.broker);
      await client.call.startSession({ token: "spent" }, { signal: AbortSignal.timeout(20) }).catch(() => undefined);
    }
    await sleep(limits.hold);
    expect(open.logged.slice(before)).toEqual([]);
  });

  test("beyond those that are written down fill neither the log nor the ledger", async () => {
    await using open = await openDoor();
    await refusedTooOften(open.door.paths);
    const before = open.logged.length;
    using bad = openClient(BrokerService, open.door.paths.broker);
    const codes = await Promise.all(
      Array.from({ length: limits.streams }, async () => (await refusal(bad.call.startSession({ token: "" }))).code),
    );
    expect(new Set(codes)).toEqual(new Set(["token-missing"]));
    expect(open.logged.length).toBe(before);
    const denied = await open.ledger.entries({ limit: 500, kinds: ["denied"] });
    expect(denied.length).toBeLessThanOrEqual(limits.refusals);
  });

  test("that are nobody's fault are not counted", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    for (let count = 0; count < limits.refusals + 5; count += 1) await client.call.startSession({ token: "t" });
    expect(await time(() => client.call.startSession({ token: "spent" }))).toBeLessThan(limits.hold);
  });
});
