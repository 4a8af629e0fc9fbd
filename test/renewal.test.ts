import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identify } from "../src/asker.ts";
import type { Client, RunAsk } from "../src/contract.ts";
import { asBrokerError, BrokerError, type Code } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import type { Verifier } from "../src/identity/verify.ts";
import { Job } from "../src/job.ts";
import type { Event } from "../src/ledger/entry.ts";
import { Secret } from "../src/secret.ts";
import { rsaKey } from "./identity/issuer.ts";
import { ask, client as nobody, sandboxThat } from "./job-stage.ts";
import { openRenewalStage, type RenewalStage, tokenText } from "./renewal-stage.ts";

const fresh = 600;
const grace = fresh / 2;

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
  readonly events: readonly Event[];
}

interface Course {
  readonly freshToken: (asked: number, before: number) => Promise<Secret>;
  /** When the job ends by itself, in milliseconds; beyond the first grace where it is left out. */
  readonly lasts?: number;
  readonly house?: Partial<House>;
  /** Once it runs. */
  readonly meanwhile?: (run: { readonly session: string }) => Promise<void>;
}

/** One run from its token to its end, and what the ledger has of it and of refusals since it began. */
async function runs({ freshToken, lasts = fresh * 4, house: other = {}, meanwhile }: Course): Promise<Outcome> {
  const mine = { ...house, ...other };
  const own: RunAsk = { ...ask, template: "long", credentials: { kind: "token", token: token() } };
  let asked = 0;
  let session = "";
  const client: Client = {
    ...nobody,
    accepted: (run) => ({ session } = run),
    freshToken: (before) => {
      asked += 1;
      return freshToken(asked, before);
    },
  };
  const sandbox = sandboxThat({
    run: async ({ signal }) => {
      await sleep(lasts, undefined, { signal }).catch(() => undefined);
      return { kind: signal.aborted ? "cancelled" : "exited", code: 0 };
    },
  });
  const { size } = await stage.ledger.status();
  await using job = new Job({ ...mine, sandboxes: { ...mine.sandboxes, open: async () => sandbox } }, own, client);
  const began = performance.now();
  const running = job.recorded(async () => {
    const asker = await job.identify();
    const run = await job.begin(asker, job.decide(asker), await job.reserve(job.decide(asker)));
    await job.mint(run);
    void sleep(50).then(() => meanwhile?.({ session }));
    const exit = await job.start(run, sandbox);
    return job.close(run, exit, await job.end());
  });
  const error = await running.then(() => undefined, asBrokerError);
  const after = performance.now() - began;
  const entries = await stage.ledger.entries({ from: size, limit: 500 });
  return { error, after, events: entries.map(({ event }) => event) };
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
    expect(given).toHaveLength(3);
    expect(kinds(events, "identity-renewed")).toHaveLength(3);
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
    await expect(job.begin(asker, job.decide(asker), sandboxThat({}))).rejects.toMatchObject({ code: "token-spent" });
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
    const { error, after, events } = await runs({ freshToken: async () => token(changes) });
    expect(error).toMatchObject({
      code: "token-other-job",
      message: "the fresh identity token is not of the job that asked first",
    });
    expect(after).toBeLessThan(fresh + grace);
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

  test("is ended past a raised fence", async () => {
    const raise = { scope: "workload:ci:456789", who: "ann", why: "a test" };
    const { error } = await runs({
      meanwhile: async () => void (await stage.ledger.raiseFence({ ...raise, closed: true })),
      freshToken: async () => token(),
    });
    await stage.ledger.raiseFence({ ...raise, closed: false });
    expect(error).toMatchObject({ code: "fenced" });
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
    expect(after).toBeLessThan(fresh + grace + 600);
    expect([...new Set(kinds(events, "denied").map((event) => event.kind === "denied" && event.code))]).toEqual(recorded);
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
    expect(kinds(gone.events, "denied")).toEqual([]);
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
