import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identify, isBeneath, opens } from "../src/asker.ts";
import type { Peer } from "../src/contract.ts";
import type { House } from "../src/house.ts";
import type { Secret } from "../src/secret.ts";
import { identity, type JobStage, openJobStage, peer } from "./job-stage.ts";

describe("a control group is beneath the one that a session is bound to", () => {
  const runner = "/system.slice/runner-1.service";
  test.each([
    ["the same", runner, runner, true],
    ["one that the runner made for its job", runner, `${runner}/job-7`, true],
    ["one deep beneath", runner, `${runner}/a/b/c`, true],
    ["another runner's", runner, "/system.slice/runner-2.service", false],
    ["one whose name begins alike", runner, "/system.slice/runner-1.service2", false],
    ["the one above", runner, "/system.slice", false],
    ["the root", runner, "/", false],
    ["one that cannot be read", runner, undefined, false],
    ["any, where it is bound to the user alone", null, "/anything", true],
    ["none that can be read, where it is bound to the user alone", null, undefined, true],
    ["the same one outside of our namespace", "/../runner-1", "/../runner-1", true],
    ["one beneath that", "/../runner-1", "/../runner-1/job", true],
    ["another one outside", "/../runner-1", "/../runner-2", false],
    ["one two levels above, whose path begins like one level above", "/..", "/../..", false],
    ["one beneath two levels above", "/..", "/../../runner-2", false],
    ["one whose name only begins with two dots", "/a", "/a/..b", true],
  ])("%s", (_, bound, found, expected) => {
    expect(isBeneath(bound, found)).toBe(expected);
  });
});

describe("a session", () => {
  let stage: JobStage;
  let count = 0;

  beforeAll(async () => {
    stage = await openJobStage();
  });
  afterAll(() => stage?.[Symbol.asyncDispose]());

  async function started(house: House, by: Peer): Promise<Secret> {
    count += 1;
    const { opening, handle } = opens(house, { ...identity, token: { ...identity.token, key: `asker-${count}` } }, by);
    await house.ledger.openSession(opening);
    if (handle === undefined) throw new Error("nobody was given the handle");
    return handle;
  }

  const outcome = (house: House, handle: Secret, by: Peer): Promise<string> =>
    identify(house, { kind: "session", handle }, by, AbortSignal.timeout(5_000)).then(
      ({ kind }) => kind,
      (error: { readonly code: string }) => error.code,
    );

  const inside: Peer = { ...peer, uid: 1000, cgroup: "/runner-1" };

  test.each([
    ["the same user in the same runner", inside, "within"],
    ["the same user beneath it", { ...inside, cgroup: "/runner-1/job" }, "within"],
    ["the same user in another runner", { ...inside, cgroup: "/runner-2" }, "session-peer"],
    ["the same user whose runner cannot be read", { ...inside, cgroup: undefined }, "session-peer"],
    ["another user in the same runner", { ...inside, uid: 1001 }, "session-peer"],
    ["root in the same runner", { ...inside, uid: 0 }, "session-peer"],
  ] as const)("bound to a runner is of use to its own only: %s", async (_, by, expected) => {
    expect(await outcome(stage.house, await started(stage.house, inside), by)).toBe(expected);
  });

  test.each([
    ["the same user in another runner", { ...inside, cgroup: "/runner-2" }, "within"],
    ["the same user whose runner cannot be read", { ...inside, cgroup: undefined }, "within"],
    ["another user", { ...inside, uid: 1001 }, "session-peer"],
  ] as const)("bound to a user, by configuration, is of use to every runner of that user: %s", async (_, by, expected) => {
    const house: House = { ...stage.house, boundTo: "user" };
    expect(await outcome(house, await started(house, inside), by)).toBe(expected);
  });

  test("is of use to nobody where its runner cannot be read, unless it is to be bound to the user", () => {
    const unread = { ...inside, cgroup: undefined };
    expect(opens(stage.house, identity, unread).handle).toBeUndefined();
    expect(opens({ ...stage.house, boundTo: "user" }, identity, unread).handle).toBeDefined();
  });

  test("is recorded with its identity whole; a fraction by its text, which the ledger can spell in one way only", async () => {
    count += 1;
    const claims = { ref: "refs/heads/main", run_attempt: 2, weight: 0.5, tags: ["a"], ref_protected: true };
    const whole = { ...identity, claims, token: { ...identity.token, key: `asker-${count}` } };
    const { opening } = opens(stage.house, whole, inside);
    const { id } = await stage.ledger.openSession(opening);
    const [entry] = await stage.ledger.entries({ about: id, limit: 1 });
    expect(entry?.event).toMatchObject({ kind: "session-opened", subject: "repo:shop", claims: { ...claims, weight: "0.5" } });
  });

  test("that was bound to a runner stays so when the configuration changes", async () => {
    const handle = await started(stage.house, inside);
    expect(await outcome({ ...stage.house, boundTo: "user" }, handle, { ...inside, cgroup: "/runner-2" })).toBe("session-peer");
  });
});
