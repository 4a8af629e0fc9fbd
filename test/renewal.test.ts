import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identify, opens } from "../src/asker.ts";
import { runJob } from "../src/broker.ts";
import type { Client, RunAsk } from "../src/contract.ts";
import { asBrokerError, BrokerError, type Code } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import type { Verifier } from "../src/identity/verify.ts";
import { Job } from "../src/job.ts";
import type { Event } from "../src/ledger/entry.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { Secret } from "../src/secret.ts";
import { rsaKey } from "./identity/issuer.ts";
import { ask, client as nobody, sandboxThat } from "./job-stage.ts";
import { openRenewalStage, type RenewalStage, tokenText } from "./renewal-stage.ts";

const fresh = 600;
const grace = fresh / 2;
/** When a job ends by itself where a test says nothing else. */
const lasts = fresh * 4;

let stage: RenewalStage;
let house: House;

beforeAll(async () => {
  stage = await openRenewalStage(fresh);
  ({ house } = stage);
});
afterAll(() => stage?.[Symbol.asyncDispose]());

const token = (...how: Parameters<typeof tokenText>): Secret => Secret.of(tokenText(...how));

interface Outcome {
  /** How the run ended: by itself, or with this. */
  readonly error: BrokerError | undefined;
  readonly after: number;
  /** Whether a sandbox was reserved for it. */
  readonly opened: boolean;
  readonly events: readonly Event[];
}

interface Course {
  readonly freshToken: (asked: number, before: number) => Promise<Secret>;
  /** A token of its own where it is left out. */
  readonly credentials?: RunAsk["credentials"];
  /** When the job ends by itself, in milliseconds; beyond the first grace where it is left out. */
  readonly lasts?: number;
  readonly house?: Partial<House>;
  /** Once it runs; `handle` is for the runs after one that brought a token. */
  readonly meanwhile?: (run: Standing) => Promise<void>;
  readonly signal?: AbortSignal;
}

interface Standing {
  readonly session: string;
  readonly handle: Secret | undefined;
}

/** One run from its token to its end, and what the ledger has of it and of refusals since it began. */
async function runs(course: Course): Promise<Outcome> {
  const { freshToken, lasts: span = lasts, house: other = {}, meanwhile, signal = nobody.signal } = course;
  const mine = { ...house, ...other };
  const { credentials = { kind: "token", token: token() } } = course;
  const own: RunAsk = { ...ask, template: "long", credentials };
  let asked = 0;
  let opened = false;
  const client: Client = {
    ...nobody,
    signal,
    accepted: ({ session, handle }) =>
      void sleep(50).then(() => meanwhile?.({ session, handle: handle && Secret.of(handle.use(String)) })),
    freshToken: (before) => {
      asked += 1;
      return freshToken(asked, before);
    },
  };
  const sandbox = sandboxThat({
    run: async ({ signal }) => {
      await sleep(span, undefined, { signal }).catch(() => undefined);
      return { kind: signal.aborted ? "cancelled" : "exited", code: 0, peakMemory: undefined };
    },
  });
  const { size } = await stage.ledger.status();
  const open = async () => {
    opened = true;
    return sandbox;
  };
  const began = performance.now();
  const running = runJob({ ...mine, sandboxes: { ...mine.sandboxes, open } }, own, client);
  const error = await running.then(() => undefined, asBrokerError);
  const after = performance.now() - began;
  const entries = await stage.ledger.entries({ from: size, limit: 500 });
  return { error, after, opened, events: entries.map(({ event }) => event) };
}

/** A session of a token of its own, as `mayfly session start` opens it. */
async function session(): Promise<{ readonly id: string; readonly credentials: RunAsk["credentials"] }> {
  const { opening, handle } = opens(house, await house.verifier.verify(token(), AbortSignal.timeout(5_000)), ask.peer);
  const { id } = await stage.ledger.openSession(opening);
  if (handle === undefined) throw new Error("the session is of use to nobody");
  return { id, credentials: { kind: "session", handle } };
}

const nothing = (): Promise<never> => Promise.reject(new Error("there is none"));

/** The real ledger, with something of ours done before or after one of its methods. */
function ledgerThat<M extends keyof Ledger>(method: M, instead: (real: Ledger) => Ledger[M]): Ledger {
  const own: unknown = instead(stage.ledger);
  return new Proxy(stage.ledger, {
    get: (target, name) => {
      const real: unknown = name === method ? own : Reflect.get(target, name);
      return typeof real === "function" ? (...args: unknown[]): unknown => Reflect.apply(real, target, args) : real;
    },
  });
}

const kinds = (events: readonly Event[], kind: Event["kind"]): readonly Event[] =>
  events.filter((event) => event.kind === kind);

describe("a run that goes on for longer than its issuer's `fresh`", () => {
  test("brings another token of the same job, again and again, and goes on", async () => {
    const given: Secret[] = [];
    const { error, events } = await runs({
      lasts: fresh * 3.5,
      freshToken: async (_, before) => {
        expect(before - Date.now()).toBeGreaterThan(0);
        expect(before - Date.now()).toBeLessThanOrEqual(grace);
        const next = token();
        given.push(next);
        return next;
      },
    });
    expect(error).toBeUndefined();
    // Three, on a machine that has the time.
    expect(given.length).toBeGreaterThanOrEqual(2);
    expect(kinds(events, "identity-renewed")).toHaveLength(given.length);
    expect(kinds(events, "denied")).toEqual([]);
    expect(events.at(-1)).toMatchObject({ kind: "run-ended", outcome: "exited" });
  });

  test("spends each of them: it opens no session anywhere else", async () => {
    let shown: Secret | undefined;
    await runs({ lasts: fresh * 1.5, freshToken: async () => (shown = token()) });
    if (shown === undefined) throw new Error("no token was asked for");
    const again: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: shown } };
    await using job = new Job(house, again, nobody);
    const asker = await identify(house, again.credentials, again.peer, AbortSignal.timeout(5_000));
    await expect(job.decide(asker)).rejects.toMatchObject({ code: "token-spent" });
  });

  test("asks for none where it is over sooner, or where its issuer wants none", async () => {
    const never = () => Promise.reject(new Error("asked"));
    const { error, events } = await runs({ lasts: fresh * 0.5, freshToken: never });
    expect([error, kinds(events, "identity-renewed")]).toEqual([undefined, []]);
    const verifier: Verifier = { ...house.verifier, freshAfter: () => undefined };
    expect((await runs({ lasts: fresh * 2, freshToken: never, house: { verifier } })).error).toBeUndefined();
  });

  const other: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["of another run of the same workflow", { run_id: "78" }],
    ["of another attempt", { run_attempt: "2" }],
    ["of another job of the same run", { check_run_id: "992" }],
    ["of another repository", { repository_id: "456790", sub: "repo:octo-org@123456/octo-repo@456790:environment:prod" }],
  ];
  test.each(other)("is ended at once by a token %s", async (_, changes) => {
    let asked = 0;
    const freshToken = async (): Promise<Secret> => {
      asked += 1;
      return token(changes);
    };
    const { error, events } = await runs({ freshToken });
    expect(error).toMatchObject({
      code: "token-other-job",
      message: "the fresh identity token is not of the job that asked first",
    });
    expect(asked).toBe(1);
    expect(kinds(events, "denied")).toMatchObject([{ code: "token-other-job", denial: error?.id }]);
    expect(events.at(-1)).toMatchObject({ kind: "run-ended", outcome: "killed", code: "token-other-job" });
  });

  test("is ended at once by a token that somebody else signed", async () => {
    const forger = rsaKey("k1");
    const { error } = await runs({ freshToken: async () => token({}, forger) });
    expect(error).toMatchObject({ code: "token-signature" });
  });

  test("is ended at once where the policy no longer grants it, with the policy's own words", async () => {
    let policy = stage.policies.granting;
    const { withdrawn } = stage.policies;
    const { error, events } = await runs({
      house: { policy: () => policy },
      meanwhile: async () => void (policy = withdrawn),
      freshToken: async () => token(),
    });
    expect(error).toMatchObject({
      code: "claim-mismatch",
      message: expect.stringContaining('ref of this job is "refs/heads/main"'),
    });
    expect(kinds(events, "denied")).toMatchObject([
      { code: "claim-mismatch", policy: withdrawn.digest, workload: "ci:456789" },
    ]);
  });

  test("is ended at once where its template no longer gives what it holds", async () => {
    let policy = stage.policies.granting;
    const { smaller } = stage.policies;
    const { error } = await runs({
      house: { policy: () => policy },
      meanwhile: async () => void (policy = smaller),
      freshToken: async () => token(),
    });
    expect(error).toMatchObject({ code: "no-match", message: "template long no longer gives what this job holds" });
  });

  test("is ended when its session has ended", async () => {
    const { error } = await runs({
      meanwhile: async ({ session }) => void (await stage.ledger.append([{ kind: "session-ended", session, why: "asked" }])),
      freshToken: async () => token(),
    });
    expect(error).toMatchObject({ code: "session-ended" });
  });

  const raise = { scope: "workload:ci:456789", who: "ann", why: "a test" };
  test("is ended past a raised fence", async () => {
    const { error, events } = await runs({
      meanwhile: async () => void (await stage.ledger.raiseFence({ ...raise, closed: true })),
      freshToken: async () => token(),
    });
    await stage.ledger.raiseFence({ ...raise, closed: false });
    expect(error).toMatchObject({ code: "fenced" });
    expect(kinds(events, "identity-renewed")).toEqual([]);
  });

  test("is not renewed past a fence that is raised at the very last moment", async () => {
    const ledger = ledgerThat("renew", (real) => async (renewal) => {
      await real.raiseFence({ ...raise, closed: true });
      return real.renew(renewal);
    });
    const { error, events } = await runs({ house: { ledger }, freshToken: async () => token() });
    await stage.ledger.raiseFence({ ...raise, closed: false });
    expect(error).toMatchObject({ code: "fenced" });
    expect(kinds(events, "identity-renewed")).toEqual([]);
  });

  test("shares the token that proved it with the other runs of its session", async () => {
    let file = token();
    const rotates = setInterval(() => (file = token()), fresh);
    const read = async (): Promise<Secret> => file;
    let beside: Promise<Outcome> | undefined;
    const one = await runs({
      credentials: { kind: "token", token: file },
      freshToken: read,
      meanwhile: async ({ handle }) => {
        if (handle !== undefined)
          beside = runs({ credentials: { kind: "session", handle }, freshToken: read, lasts: fresh * 3 });
      },
    });
    const other = await beside;
    clearInterval(rotates);
    expect([one.error, other?.error, other?.opened]).toEqual([undefined, undefined, true]);
  });

  test("is told again that it proved itself, where the first answer was lost", async () => {
    let lost = 0;
    const ledger = ledgerThat("renew", (real) => async (renewal) => {
      const session = await real.renew(renewal);
      if (lost++ === 0) throw new BrokerError("ledger-unavailable");
      return session;
    });
    const fixed = token();
    const { error, events } = await runs({ house: { ledger }, freshToken: async () => fixed, lasts: fresh * 1.8 });
    expect([error, kinds(events, "denied"), kinds(events, "identity-renewed").length]).toEqual([undefined, [], 1]);
  });

  test("goes on past the time of its session, in which nothing begins any more", async () => {
    let within: RunAsk["credentials"] | undefined;
    const { error } = await runs({
      house: { longestSession: fresh * 1.5 },
      freshToken: async () => token(),
      meanwhile: async ({ handle }) => void (within = handle && { kind: "session", handle }),
    });
    expect(error).toBeUndefined();
    if (within === undefined) throw new Error("no session was opened");
    expect((await runs({ credentials: within, freshToken: nothing })).error).toMatchObject({ code: "session-ended" });
  });

  test("waits for the next token of a file that still has one which is too old", async () => {
    const second = Math.floor(Date.now() / 1_000);
    const old = token({ iat: second - 86_400, nbf: second - 86_400 });
    const { error, events } = await runs({
      freshToken: async (asked) => (asked === 1 ? old : token()),
      lasts: fresh * 1.8,
    });
    expect(error).toBeUndefined();
    expect(kinds(events, "denied")).toMatchObject([{ code: "token-lifetime" }]);
  });
});

describe("a session whose job lost its proof", () => {
  test.each<[string, Code, Course["freshToken"]]>([
    ["by a token of another job", "token-other-job", async () => token({ run_id: "78" })],
    ["by a token that somebody else signed", "token-signature", async () => token({}, rsaKey("k1"))],
    ["by no token in time", "token-stale", nothing],
  ])("ends with it, in one step with the record, and all of its runs: %s", async (_, code, freshToken) => {
    const { id, credentials } = await session();
    const beside = runs({ credentials, freshToken: async () => token() });
    const { error, events } = await runs({ credentials, freshToken });
    const besides = beside.then((ended) => ended.error?.code);
    expect(await Promise.race([besides, sleep(fresh / 4, "it goes on")])).toBe("session-ended");
    expect(error).toMatchObject({ code });
    const at = events.findIndex((event) => event.kind === "denied" && event.code === code);
    expect(events[at + 1]).toEqual({ kind: "session-ended", session: id, why: "stale" });
    expect(events[at]).toMatchObject({ denial: error?.id });
    const next = await runs({ credentials, freshToken: async () => token() });
    expect([next.error?.code, next.opened]).toEqual(["session-ended", false]);
  });

  test("goes on where it was the policy that refused", async () => {
    const { credentials } = await session();
    let policy = stage.policies.granting;
    const ended = await runs({
      credentials,
      house: { policy: () => policy },
      meanwhile: async () => void (policy = stage.policies.smaller),
      freshToken: async () => token(),
    });
    expect([ended.error?.code, kinds(ended.events, "session-ended")]).toEqual(["no-match", []]);
    expect((await runs({ credentials, freshToken: async () => token(), lasts: 100 })).error).toBeUndefined();
  });
});

describe("a run within a session", () => {
  test("is counted from the session's last proof, not from its own beginning", async () => {
    const { credentials } = await session();
    await sleep(fresh * 0.6);
    const { error, events } = await runs({ credentials, freshToken: async () => token(), lasts: fresh * 0.8 });
    expect([error, kinds(events, "identity-renewed").length]).toEqual([undefined, 1]);
    const again = await runs({ credentials, freshToken: nothing, lasts: 50 });
    expect([again.error, again.opened]).toEqual([undefined, true]);
  });

  test("that is too old is asked before anything of this host is taken, and the token is recorded before the run", async () => {
    const { id, credentials } = await session();
    await sleep(fresh + 50);
    const { error, events } = await runs({ credentials, freshToken: async () => token(), lasts: 50 });
    expect(error).toBeUndefined();
    expect(events.slice(0, 3)).toMatchObject([
      { kind: "identity-renewed", session: id, run: null },
      { kind: "run-opened", session: id },
      { kind: "intent" },
    ]);
  });

  test.each<[string, Code, Course["freshToken"]]>([
    ["no token", "token-stale", nothing],
    ["a token of another job", "token-other-job", async () => token({ run_id: "78" })],
  ])("that is too old does not begin with %s", async (_, code, freshToken) => {
    const { credentials } = await session();
    await sleep(fresh + 50);
    const { error, opened, events } = await runs({ credentials, freshToken });
    expect([error?.code, opened]).toEqual([code, false]);
    expect(kinds(events, "denied")).toMatchObject([{ code, denial: error?.id }]);
    expect([...kinds(events, "run-opened"), ...kinds(events, "intent")]).toEqual([]);
  });

  test("that is too old, and whose client goes away, is over at once", async () => {
    const { credentials } = await session();
    await sleep(fresh + 50);
    const gone = new AbortController();
    void sleep(50).then(() => gone.abort(new BrokerError("cancelled")));
    const never = () => new Promise<never>(() => undefined);
    const { error, events } = await runs({ credentials, freshToken: never, signal: gone.signal });
    // Later it would be `token-stale`.
    expect(error).toMatchObject({ code: "cancelled" });
    expect(kinds(events, "session-ended")).toEqual([]);
  });
});

describe("a run that cannot prove itself afresh", () => {
  const stale: readonly (readonly [string, Course["freshToken"], string, readonly Code[]])[] = [
    ["whose runner does not answer", () => new Promise(() => undefined), "the runner did not answer", []],
    ["whose runner has no token", () => Promise.reject(new Error("none")), "the runner gave no fresh token", []],
    [
      "whose token has expired",
      async () => token({ exp: 1_700_000_000, iat: 1_699_999_900, nbf: 1_699_999_900 }),
      "the identity token has expired",
      ["token-expired"],
    ],
  ];
  test.each(stale)("%s is ended at its deadline, and not before", async (_, freshToken, why, recorded) => {
    const { error, after, events } = await runs({ freshToken });
    expect(error).toMatchObject({ code: "token-stale", message: `the job did not prove itself afresh in time: ${why}` });
    expect(error?.hint).toContain("`fresh`");
    expect(after).toBeGreaterThanOrEqual(fresh + grace);
    // Before the job's own end, however slow this machine is.
    expect(after).toBeLessThan(lasts);
    const denied = kinds(events, "denied").map((event) => event.kind === "denied" && event.code);
    expect([...new Set(denied)]).toEqual([...recorded, "token-stale"]);
    expect(events.at(-1)).toMatchObject({ kind: "run-ended", outcome: "killed", code: "token-stale" });
  });

  test("since its CI system gives one fixed token is told that this token is spent", async () => {
    const fixed = token();
    const { error } = await runs({ freshToken: async () => fixed, lasts: fresh * 8 });
    expect(error).toMatchObject({
      code: "token-stale",
      message: expect.stringContaining("the identity token has already opened a session"),
    });
  });

  test("is asked again until it can", async () => {
    const file = token();
    const rotated = async (asked: number): Promise<Secret> =>
      asked < 2 ? Promise.reject(new Error("not yet")) : asked < 4 ? file : token();
    const { error, events } = await runs({ freshToken: rotated, lasts: fresh * 2 + grace });
    expect(error).toBeUndefined();
    expect(kinds(events, "identity-renewed").length).toBeGreaterThanOrEqual(2);
  });

  test("for an issuer that is away goes on until the deadline, and nothing is held against it", async () => {
    let away = true;
    const verify: Verifier["verify"] = (shown, signal) =>
      away ? Promise.reject(new BrokerError("issuer-unavailable")) : house.verifier.verify(shown, signal);
    const course = (lasts: number): Course => ({
      lasts,
      house: {
        verifier: {
          ...house.verifier,
          verify: (shown, signal) => (first ? house.verifier.verify(shown, signal) : verify(shown, signal)),
        },
      },
      meanwhile: async () => void (first = false),
      freshToken: async (asked) => {
        if (asked > 2) away = false;
        return token();
      },
    });
    let first = true;
    const back = await runs(course(fresh * 2));
    expect(back.error).toBeUndefined();
    expect([kinds(back.events, "denied"), kinds(back.events, "identity-renewed").length]).toEqual([[], 1]);
    [first, away] = [true, true];
    const gone = await runs({ ...course(fresh * 4), freshToken: async () => token() });
    expect(gone.error).toMatchObject({
      code: "token-stale",
      message: expect.stringContaining("the issuer's keys cannot be read at the moment"),
    });
    expect(kinds(gone.events, "denied")).toMatchObject([{ code: "token-stale" }]);
  });

  test("and answers too late spends nothing", async () => {
    let late: Secret | undefined;
    const { error } = await runs({
      freshToken: async () => {
        late = token();
        await sleep(grace * 1.5);
        return late;
      },
    });
    expect(error).toMatchObject({ code: "token-stale" });
    await sleep(grace);
    if (late === undefined) throw new Error("no token was asked for");
    const asker = await identify(house, { kind: "token", token: late }, ask.peer, AbortSignal.timeout(5_000));
    if (asker.kind !== "opens") throw new Error("a token opens");
    await expect(stage.ledger.openSession(asker.opening)).resolves.toMatchObject({ ended: false });
  });
});
