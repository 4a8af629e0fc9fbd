import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../src/broker.ts";
import type { Client, ObserveAsk, RunAsk } from "../src/contract.ts";
import { asBrokerError, BrokerError } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import type { Ending, Provider } from "../src/lease/provider.ts";
import { Sweeper } from "../src/lease/sweep.ts";
import type { Event } from "../src/ledger/entry.ts";
import { observe } from "../src/observe.ts";
import { type Answer, apply } from "../src/policy/opa/answer.ts";
import type { Sandbox } from "../src/sandbox/sandbox.ts";
import { Secret } from "../src/secret.ts";
import { ask, client as nobody, sandboxThat } from "./job-stage.ts";
import { openRenewalStage, type RenewalStage, tokenText } from "./renewal-stage.ts";

/* Where the flow asks the site for its last word, and what becomes of the answer. The answers are applied as those of a real OPA are. */

const fresh = 600;
const grace = fresh / 2;

let stage: RenewalStage;
beforeAll(async () => {
  stage = await openRenewalStage(fresh);
});
afterAll(() => stage?.[Symbol.asyncDispose]());

const token = (): Secret => Secret.of(tokenText());
const unavailable = new BrokerError("last-word-unavailable");

/** A site that says this, and in turn: the first answer is for the decision, each later one for a renewal. */
function saying(...answers: readonly (Answer | BrokerError)[]): House["lastWord"] {
  let asked = 0;
  return {
    ask: async (grant) => {
      const answer = answers[Math.min(asked++, answers.length - 1)] ?? unavailable;
      if (answer instanceof BrokerError) throw answer;
      return { outcome: apply(grant, answer), decision: `opa:${asked}` };
    },
  };
}

interface Outcome {
  readonly error: BrokerError | undefined;
  readonly after: number;
  readonly opened: boolean;
  readonly events: readonly Event[];
}

async function recorded<T>(work: () => Promise<T>): Promise<readonly Event[]> {
  const { size } = await stage.ledger.status();
  await work();
  return (await stage.ledger.entries({ from: size, limit: 100 })).map(({ event }) => event);
}

async function runs(lastWord: House["lastWord"], shown = token(), lasts = 50): Promise<Outcome> {
  let opened = false;
  let error: BrokerError | undefined;
  const sandbox = sandboxThat({
    run: async ({ signal }) => {
      await sleep(lasts, undefined, { signal }).catch(() => undefined);
      return { kind: signal.aborted ? "cancelled" : "exited", code: 0, peakMemory: undefined };
    },
  });
  const open = async () => {
    opened = true;
    return sandbox;
  };
  const house = { ...stage.house, lastWord, sandboxes: { ...stage.house.sandboxes, open } };
  const own: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: shown } };
  const client: Client = { ...nobody, freshToken: async () => token() };
  const began = performance.now();
  const events = await recorded(async () => {
    error = await runJob(house, own, client).then(() => undefined, asBrokerError);
  });
  return { error, after: performance.now() - began, opened, events };
}

const allowing = { allow: true } as const;
const denying = { allow: false, reason: "the freeze goes on until Monday" } as const;
const of = (events: readonly Event[], kind: Event["kind"]): readonly Event[] => events.filter((event) => event.kind === kind);

describe("a run that a template grants", () => {
  test("begins where the site allows it, and the record names the site's decision", async () => {
    const { error, events } = await runs(saying(allowing));
    expect(error).toBeUndefined();
    expect(of(events, "run-opened")).toMatchObject([{ lastWord: "opa:1", asked: "long" }]);
    expect(of(events, "intent")).toHaveLength(1);
  });

  test("has no such name on record where the site has no last word", async () => {
    const { events } = await runs(undefined);
    expect(of(events, "run-opened")).toMatchObject([{ lastWord: null }]);
  });

  test("gets less where the site narrows it", async () => {
    const { error, events } = await runs(saying({ allow: true, without: ["api"] }));
    expect(error).toBeUndefined();
    expect([of(events, "run-opened").length, of(events, "intent")]).toEqual([1, []]);
  });

  test("is refused where the site denies it, before anything is taken: the caller hears no reason, the record has it", async () => {
    const shown = token();
    const { error, opened, events } = await runs(saying(denying), Secret.of(shown.use(String)));
    expect(error).toMatchObject({ code: "overruled", message: "the site's last word refused what a template grants" });
    expect(opened).toBe(false);
    expect(events).toMatchObject([
      {
        kind: "denied",
        denial: error?.id,
        code: "overruled",
        lastWord: "opa:1",
        asked: "long",
        policy: stage.policies.granting.digest,
        workload: "ci:456789",
        trace: [{ template: "long", matched: true, lines: [{ found: denying.reason }] }],
      },
    ]);
    expect((await runs(saying(allowing), shown)).error).toBeUndefined();
  });

  test("is refused where no answer came, and its token stays good", async () => {
    const shown = token();
    const { error, opened, events } = await runs(saying(unavailable), Secret.of(shown.use(String)));
    expect([error?.code, opened]).toEqual(["last-word-unavailable", false]);
    expect(events).toMatchObject([
      {
        kind: "denied",
        code: "last-word-unavailable",
        lastWord: null,
        trust: expect.any(String),
        policy: stage.policies.granting.digest,
        asked: "long",
        trace: [{ template: "long", matched: true, lines: [{ line: "the site's last word", found: "no answer" }] }],
      },
    ]);
    expect((await runs(saying(allowing), shown)).error).toBeUndefined();
  });

  test("is not asked about with a token that opens nothing any more", async () => {
    const shown = token();
    expect((await runs(saying(allowing), Secret.of(shown.use(String)))).error).toBeUndefined();
    const again = Secret.of(shown.use(String));
    expect((await runs(saying(new BrokerError("internal")), again)).error).toMatchObject({ code: "token-spent" });
    const own: ObserveAsk = {
      ...ask,
      template: "long",
      credentials: { kind: "token", token: shown },
      signal: AbortSignal.timeout(5_000),
    };
    const house = { ...stage.house, lastWord: saying(new BrokerError("internal")) };
    await expect(observe(house, own)).rejects.toMatchObject({ code: "token-spent" });
  });

  test("is not asked about where the templates deny", async () => {
    const house = { ...stage.house, policy: () => stage.policies.withdrawn, lastWord: saying(new BrokerError("internal")) };
    const own: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: token() } };
    await expect(runJob(house, own, nobody)).rejects.toMatchObject({ code: "claim-mismatch" });
  });
});

describe("a job that proves itself afresh", () => {
  test("goes on where the site still allows it", async () => {
    const { error, events } = await runs(saying(allowing), token(), fresh * 1.5);
    expect([error, of(events, "identity-renewed").length]).toEqual([undefined, 1]);
  });

  test("is ended at once where the site denies it now, with the site's decision on record", async () => {
    const { error, after, events } = await runs(saying(allowing, denying), token(), fresh * 4);
    expect(error).toMatchObject({ code: "overruled" });
    expect(after).toBeLessThan(fresh + grace);
    expect(of(events, "denied")).toMatchObject([{ code: "overruled", lastWord: "opa:2", asked: "long", denial: error?.id }]);
    expect([of(events, "identity-renewed"), of(events, "session-ended")]).toEqual([[], []]);
  });

  test.each<[string, Answer]>([
    ["a credential fewer", { allow: true, without: ["api"] }],
    ["a shorter life", { allow: true, ttl: { api: 60_000 } }],
  ])("is ended where the site leaves it %s than it holds", async (_, answer) => {
    const { error } = await runs(saying(allowing, answer), token(), fresh * 4);
    expect(error).toMatchObject({ code: "no-match", message: "template long no longer gives what this job holds" });
  });

  test.each<[string, Answer]>([
    ["takes the same credential away", { allow: true, without: ["api"] }],
    ["shortens the same life", { allow: true, ttl: { api: 300_000 } }],
  ])("goes on where the site, asked about the same grant again, %s", async (_, answer) => {
    const asked: unknown[] = [];
    const lastWord: House["lastWord"] = {
      ask: async (grant) => {
        asked.push(grant.credentials.map(({ name, ttl }) => [name, ttl]));
        return { outcome: apply(grant, answer), decision: "opa:1" };
      },
    };
    const { error, events } = await runs(lastWord, token(), fresh * 1.5);
    expect([error, of(events, "identity-renewed").length]).toEqual([undefined, 1]);
    expect(asked).toEqual([[["api", 600_000]], [["api", 600_000]]]);
  });

  test("goes on where the site narrows it as it did before", async () => {
    const { error, events } = await runs(saying({ allow: true, ttl: { api: 60_000 } }), token(), fresh * 1.5);
    expect([error, of(events, "identity-renewed").length]).toEqual([undefined, 1]);
  });

  test("goes on where the site did not answer at first", async () => {
    const { error, events } = await runs(saying(allowing, unavailable, allowing), token(), fresh * 1.8);
    expect([error, of(events, "denied"), of(events, "identity-renewed").length]).toEqual([undefined, [], 1]);
  });

  test("is ended at its deadline, and not before, where the site does not answer", async () => {
    const { error, after } = await runs(saying(allowing, unavailable), token(), fresh * 4);
    expect(error).toMatchObject({
      code: "token-stale",
      message: expect.stringContaining("the site's last word could not be had"),
    });
    expect(after).toBeGreaterThanOrEqual(fresh + grace);
    expect(after).toBeLessThan(fresh + grace + 600);
  });
});

/** As `local` gives it, but for how its lease ends, which is noted. */
function ending(kind: Ending["kind"]) {
  const asked: number[] = [];
  const revoked: number[] = [];
  const local = must(stage.house.minting.providers.get("local"));
  const began = performance.now();
  const provider: Provider<unknown> = {
    ...local,
    ends: () => kind,
    mint: async (request) => {
      asked.push(request.intent.ttl);
      const { material } = await local.mint(request);
      const expiresAt = Date.now() + request.intent.ttl;
      return { material, ending: kind === "static" ? { kind } : { kind: "revoke", handle: {}, expiresAt } };
    },
    revocation: {
      revoke: async () => void revoked.push(performance.now() - began),
      recover: async () => ({ kind: "never-happened" }),
    },
  };
  return { asked, revoked, provider };
}

function must<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("there is none");
  return value;
}

async function runsOn(
  provider: Provider<unknown>,
  lastWord: House["lastWord"],
  lasts: number,
): Promise<BrokerError | undefined> {
  const minting = { ...stage.house.minting, providers: new Map([["local", provider]]) };
  const sweeping = { ...minting, held: (lease: string) => stage.house.live.holds(lease), heldRun: () => true };
  await using sweeper = new Sweeper({ ...sweeping, interval: 50, settle: 0, report: () => undefined });
  sweeper.start();
  const run: Sandbox["run"] = async () => {
    await sleep(lasts);
    return { kind: "exited", code: 0, peakMemory: undefined };
  };
  const open = async () => sandboxThat({ run });
  const verifier = { ...stage.house.verifier, freshAfter: () => undefined };
  const house = { ...stage.house, minting, sweeper, verifier, lastWord, sandboxes: { ...stage.house.sandboxes, open } };
  const own: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: token() } };
  return await runJob(house, own, nobody).then(() => undefined, asBrokerError);
}

describe("a shorter life", () => {
  const second = saying({ allow: true, ttl: { api: 1_000 } });

  test("of what can be ended is asked of its provider in full, and ended by the broker while the job goes on", async () => {
    const { asked, revoked, provider } = ending("revoke");
    expect(await runsOn(provider, second, 2_500)).toBeUndefined();
    expect(asked).toEqual([600_000]);
    const [first = 0] = revoked;
    expect(first).toBeGreaterThanOrEqual(1_000);
    expect(first).toBeLessThan(2_400);
  });

  test("that nobody asked for ends nothing before the job does", async () => {
    const { revoked, provider } = ending("revoke");
    expect(await runsOn(provider, saying(allowing), 1_600)).toBeUndefined();
    expect(Math.min(...revoked)).toBeGreaterThanOrEqual(1_600);
  });

  test("of a stored value nobody can give, so it is refused before anything is asked for", async () => {
    const { asked, provider } = ending("static");
    expect(await runsOn(provider, second, 10)).toMatchObject({
      code: "last-word-unavailable",
      detail: "the answer shortens the life of api, a stored value that outlives the job: take it away with `without`",
    });
    expect(asked).toEqual([]);
    expect(await runsOn(provider, saying(allowing), 10)).toBeUndefined();
    expect(asked).toEqual([600_000]);
  });
});

describe("what is only observed", () => {
  const asking = (): ObserveAsk => ({
    ...ask,
    template: "long",
    credentials: { kind: "token", token: token() },
    signal: AbortSignal.timeout(5_000),
  });

  test("is what the site leaves of it", async () => {
    const house = { ...stage.house, lastWord: saying({ allow: true, ttl: { api: 60_000 } }) };
    const seen = await recorded(async () => {
      expect(await observe(house, asking())).toMatchObject({ credentials: [{ name: "api", provider: "local", ttl: 60_000 }] });
    });
    expect(seen).toMatchObject([{ kind: "observed", lastWord: "opa:1", template: "long", step: null }]);
  });

  test("is refused within a session whose job proved itself too long ago, as a run would be", async () => {
    let handle: Secret | undefined;
    const accepted: Client["accepted"] = (run) => (handle = Secret.of(must(run.handle).use(String)));
    const open = async () => sandboxThat({});
    const house = { ...stage.house, sandboxes: { ...stage.house.sandboxes, open } };
    const own: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: token() } };
    await runJob(house, own, { ...nobody, accepted });
    const within: ObserveAsk = { ...asking(), credentials: { kind: "session", handle: must(handle) } };
    expect(await observe(house, within)).toMatchObject({ template: "long" });
    await sleep(fresh + 50);
    await expect(observe(house, within)).rejects.toMatchObject({
      code: "token-stale",
      message: "the session's job proved itself too long ago",
    });
  });

  test.each<[string, House["lastWord"], string, string | null]>([
    ["denies", saying(denying), "overruled", "opa:1"],
    ["does not answer", saying(unavailable), "last-word-unavailable", null],
  ])("is refused where the site %s", async (_, lastWord, code, decision) => {
    const seen = await recorded(() => observe({ ...stage.house, lastWord }, asking()).catch(() => undefined));
    expect(seen).toMatchObject([{ kind: "denied", code, lastWord: decision, asked: "long" }]);
  });
});
