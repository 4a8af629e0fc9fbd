import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Broker, Peer, RunAsk } from "../src/contract.ts";
import { BrokerError } from "../src/errors.ts";
import type { House } from "../src/house.ts";
import type { Event } from "../src/ledger/entry.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { Secret } from "../src/secret.ts";
import { createBroker } from "../src/service.ts";
import { ask, client, peer, sandboxThat } from "./job-stage.ts";
import { openRenewalStage, type RenewalStage, tokenText } from "./renewal-stage.ts";

/* The verbs around the flow, on a real ledger and a real verifier. */

let stage: RenewalStage;
let ledger: Ledger;

beforeAll(async () => {
  stage = await openRenewalStage(600_000);
  ({ ledger } = stage);
});
afterAll(() => stage?.[Symbol.asyncDispose]());

const about = { version: "0.1.0", startedAt: 0, issuers: ["ci"], providers: [], draining: () => false, trouble: () => [] };
const brokerOf = (changes: Partial<House> = {}): Broker =>
  createBroker({ ...stage.house, boundTo: "runner", ...changes }, about);

const start = (broker: Broker, token = tokenText(), by: Peer = peer) =>
  broker.startSession({ peer: by, token: Secret.of(token) });
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "done",
    ({ code }: { readonly code: string }) => code,
  );
const contained = (broker: Broker, scope: string, closed: boolean) =>
  broker.contain({ scope, closed, who: "ann", why: "a test" });

/** What was recorded since. */
async function since(size: number): Promise<readonly Event[]> {
  return (await ledger.entries({ from: size, limit: 100 })).map(({ event }) => event);
}

const scopes = ["all", "issuer:ci", "workload:ci:456789"];

describe("containment", () => {
  test.each(scopes)("of %s refuses a new session, and does not burn its token", async (scope) => {
    const broker = brokerOf();
    await contained(broker, scope, true);
    const token = tokenText();
    expect(await codeOf(start(broker, token))).toBe("fenced");
    await contained(broker, scope, false);
    await start(broker, token);
  });

  test.each([...scopes, "job:", "session:"])("of %s ends the sessions in it: a stolen handle stays dead", async (beginning) => {
    const broker = brokerOf();
    const { session, handle } = await start(broker);
    const [opened] = await ledger.entries({ limit: 1, about: session, kinds: ["session-opened"] });
    const job = opened?.event.kind === "session-opened" ? opened.event.job : "";
    const scope = { "job:": `job:${job}`, "session:": `session:${session}` }[beginning] ?? beginning;
    const { size } = await ledger.status();
    await contained(broker, scope, true);
    await contained(broker, scope, false);
    const run: RunAsk = { ...ask, credentials: { kind: "session", handle } };
    expect(await codeOf(broker.run(run, client))).toBe("session-ended");
    expect(await since(size)).toContainEqual({ kind: "session-ended", session, why: "contained" });
  });
});

describe("a session's start", () => {
  const unread: Peer = { ...peer, cgroup: undefined };

  test("is refused where the session could not be bound to its runner, and says what to do", async () => {
    const token = tokenText();
    const { size } = await ledger.status();
    await expect(start(brokerOf(), token, unread)).rejects.toMatchObject({
      code: "session-peer",
      message: "the control group of who asks cannot be read, so no session can be bound to its runner",
      hint: expect.stringContaining("`sessions.bound_to: user` in mayfly.yaml"),
    });
    expect((await since(size)).map(({ kind }) => kind)).toEqual(["denied"]);
    // Neither is the token burnt by it.
    await start(brokerOf({ boundTo: "user" }), token, unread);
  });

  test("by a run is good for that run where the session could not be bound: nobody hears its handle", async () => {
    const sandboxes = { ...stage.house.sandboxes, open: async () => sandboxThat({}) };
    const run: RunAsk = {
      ...ask,
      template: "long",
      peer: unread,
      credentials: { kind: "token", token: Secret.of(tokenText()) },
    };
    const handles: unknown[] = [];
    const accepted = ({ handle }: { readonly handle: Secret | undefined }) => void handles.push(handle);
    await brokerOf({ sandboxes }).run(run, { ...client, accepted });
    expect(handles).toEqual([undefined]);
    await brokerOf({ sandboxes, boundTo: "user" }).run(
      { ...run, credentials: { kind: "token", token: Secret.of(tokenText()) } },
      { ...client, accepted },
    );
    expect(handles[1]).toBeInstanceOf(Secret);
  });
});

describe("a refusal that the ledger cannot record", () => {
  const away = (): Ledger =>
    new Proxy(stage.ledger, {
      get: (target, name) => {
        if (name === "append") return () => Promise.reject(new BrokerError("ledger-unavailable"));
        const real: unknown = Reflect.get(target, name);
        return typeof real === "function" ? (...args: unknown[]): unknown => Reflect.apply(real, target, args) : real;
      },
    });
  const expired = tokenText({ exp: 1_700_000_000, iat: 1_699_999_900, nbf: 1_699_999_900 });

  test.each<[string, (broker: Broker) => Promise<unknown>, string]>([
    ["of a session's start", (broker) => start(broker, expired), "token-expired"],
    [
      "of a session's end",
      (broker) => broker.endSession({ peer, handle: Secret.of(`mfs_${"A".repeat(43)}`) }),
      "session-unknown",
    ],
    [
      "of a run",
      (broker) => broker.run({ ...ask, credentials: { kind: "token", token: Secret.of(expired) } }, client),
      "token-expired",
    ],
  ])("is the same refusal, without an id: %s", async (_, call, code) => {
    await expect(call(brokerOf({ ledger: away() }))).rejects.toMatchObject({ code, id: undefined });
    await expect(call(brokerOf())).rejects.toMatchObject({ code, id: expect.stringMatching(/^den-/) });
  });
});

describe("a spent token", () => {
  test("is refused before anything of this host is taken", async () => {
    const token = tokenText();
    await start(brokerOf(), token);
    let opened = 0;
    const open = async () => {
      opened += 1;
      return sandboxThat({});
    };
    const run = (value: string): Promise<string> =>
      codeOf(
        brokerOf({ sandboxes: { ...stage.house.sandboxes, open } }).run(
          { ...ask, template: "long", credentials: { kind: "token", token: Secret.of(value) } },
          client,
        ),
      );
    expect([await run(token), opened]).toEqual(["token-spent", 0]);
    expect([await run(tokenText()), opened]).toEqual(["done", 1]);
  });
});
