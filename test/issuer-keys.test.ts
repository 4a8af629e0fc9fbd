import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readRegularFile } from "../src/identity/keys/file.ts";
import { issuerFetch } from "../src/identity/keys/network.ts";
import { createVerifier, type Verifier } from "../src/identity/verify.ts";
import { acceptKey, keyTrouble, refreshKeys } from "../src/issuer-keys.ts";
import { KeysOnRecord, type RecordParts } from "../src/keys-on-record.ts";
import type { Event } from "../src/ledger/entry.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { loadLedger } from "../src/ledger/thread.ts";
import { createLog } from "../src/log.ts";
import { type Clock, systemClock } from "../src/time.ts";
import { ecKey, startIssuer, type TestIssuer, type TestKey } from "./identity/issuer.ts";
import { outcome, profileOf, tokenOf } from "./identity/keys/key-rows/stage.ts";
import { down } from "./identity/keys/misbehaving.ts";
import { newFolder, newKey, origin } from "./ledger/fixture.ts";

/** A broker's real ledger and verifier over a real issuer, closed and opened again as a restart does. */
interface Broker extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly verifier: Verifier;
}

const [good, added] = [ecKey("good"), ecKey("added")];
const key = newKey();
const hour = 3_600_000;
const asked = { who: "ann", why: "test" };

let issuer: TestIssuer;
let served: readonly TestKey[];
let path: string;
let logged: string[];

beforeEach(async () => {
  served = [good];
  issuer = await startIssuer(() => ({ keys: served.map(({ jwk }) => jwk) }));
  path = join(newFolder(), "ledger.db");
  logged = [];
});
afterEach(() => issuer[Symbol.asyncDispose]());

const log = createLog({ level: "info", destination: { write: (line) => logged.push(line) }, clock: systemClock });

async function open(clock: Clock = systemClock): Promise<Broker> {
  await using stack = new AsyncDisposableStack();
  const ledger = stack.use(await (await loadLedger()).open({ path, key, origin, clock: systemClock }));
  const history = stack.use(await KeysOnRecord.load({ ledger, log, clock }));
  const profile = { ...profileOf(issuer.url), hold: hour };
  const verifier = createVerifier({ profiles: [profile], fetch: issuerFetch, readFile: readRegularFile, clock, history });
  const kept = stack.move();
  return { ledger, verifier, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function recorded(): Promise<readonly Event[]> {
  await using loaded = await (await loadLedger()).open({ path, key, origin, clock: systemClock });
  return (await loaded.entries({ limit: 100 })).map(({ event }) => event);
}

const tried = ({ verifier }: Broker, by: TestKey) => outcome(verifier, tokenOf(issuer.url, by, Date.now()));
const later = (span: number): Clock => ({ ...systemClock, now: () => Date.now() + span });

describe("what happens to an issuer's keys", () => {
  test("is in the ledger when the broker is closed, and known when it is opened again", async () => {
    {
      await using broker = await open();
      expect(await tried(broker, good)).toBe("accepted");
      served = [good, added];
      await broker.verifier.readAnew(undefined);
      expect(await tried(broker, added)).toBe("key-held");
    }
    expect(
      (await recorded()).map((event) => event.kind === "issuer-keys" && [event.change, event.keys.map(({ kid }) => kid)]),
    ).toEqual([
      ["first", ["good"]],
      ["added", ["added"]],
    ]);
    {
      await using broker = await open();
      expect([await tried(broker, good), await tried(broker, added)]).toEqual(["accepted", "key-held"]);
    }
    await using after = await open(later(hour + 1));
    expect(after.verifier.readiness()).toMatchObject([{ held: [] }]);
    expect(await outcome(after.verifier, tokenOf(issuer.url, added, Date.now() + hour + 1))).toBe("accepted");
  });

  test("is read back over more than one page of other entries", async () => {
    {
      await using broker = await open();
      await tried(broker, good);
      await broker.verifier.readAnew(undefined);
      const operated = { kind: "operated", verb: "reload", about: "broker", ...asked } as const;
      for (let page = 0; page < 3; page += 1) await broker.ledger.append(Array.from({ length: 500 }, () => operated));
      served = [good, added];
      await broker.verifier.readAnew(undefined);
    }
    await using broker = await open(later(hour + 1));
    await broker.verifier.readAnew(undefined);
    expect(broker.verifier.readiness()).toMatchObject([{ kids: ["good", "added"], held: [] }]);
  });

  test("is in the log as well, for whoever watches that", async () => {
    await using broker = await open();
    await tried(broker, good);
    expect(logged.join("")).toContain('"change":"first"');
  });

  test("does not disturb a verification when the ledger cannot be written, and is not lost when it can again", async () => {
    const written: Event[] = [];
    let works = false;
    const ledger: RecordParts["ledger"] = {
      entries: () => Promise.resolve([]),
      append: (events) => {
        if (!works) return Promise.reject(new Error("the disk is full"));
        written.push(...events);
        return Promise.resolve([]);
      },
    };
    const history = await KeysOnRecord.load({ ledger, log, clock: { ...systemClock, sleep: () => systemClock.sleep(10) } });
    const profile = profileOf(issuer.url);
    const verifier = createVerifier({
      profiles: [profile],
      fetch: issuerFetch,
      readFile: readRegularFile,
      clock: systemClock,
      history,
    });
    expect(await outcome(verifier, tokenOf(issuer.url, good, Date.now()))).toBe("accepted");
    await systemClock.sleep(50);
    expect(written).toEqual([]);
    works = true;
    await systemClock.sleep(100);
    expect(written).toMatchObject([{ kind: "issuer-keys", change: "first" }]);
    works = false;
    served = [good, added];
    await verifier.readAnew(undefined);
    await history[Symbol.asyncDispose]();
    expect(written).toHaveLength(1);
  });
});

test("a ledger that hangs is waited for with 200 changes at most, and each of the others is in the log", async () => {
  const ledger: RecordParts["ledger"] = {
    entries: () => Promise.resolve([]),
    append: () => Promise.reject(new Error("the disk is full")),
  };
  const clock = { ...systemClock, sleep: () => new Promise<void>(() => undefined) };
  const history = await KeysOnRecord.load({ ledger, log, clock });
  for (let nth = 0; nth < 210; nth += 1) history.record({ issuer: `ci${nth}`, change: "unreachable", keys: [], why: "away" });
  expect(logged.filter((line) => line.includes("in this log only"))).toHaveLength(10);
  expect(logged.filter((line) => line.includes('"issuer":"ci209"'))).toHaveLength(2);
});

describe("keys refresh", () => {
  test("reads the keys anew, says what stands, and is recorded with who and why", async () => {
    {
      await using broker = await open();
      await tried(broker, good);
      served = [added];
      expect(await refreshKeys(broker, { issuer: "ci", ...asked })).toEqual([
        { issuer: "ci", state: "ready", kids: [], held: ["added"], trouble: undefined },
      ]);
      expect(await tried(broker, good)).toBe("token-signature");
      expect(keyTrouble(broker.verifier.readiness()[0] ?? never())).toEqual([
        { code: "key-held", about: "ci: the new key added" },
      ]);
      await refreshKeys(broker, { issuer: undefined, ...asked });
    }
    expect((await recorded()).filter(({ kind }) => kind === "operated")).toEqual([
      { kind: "operated", verb: "refresh-keys", about: "ci", ...asked },
      { kind: "operated", verb: "refresh-keys", about: "broker", ...asked },
    ]);
  });

  test("of an issuer that is away shows why, and that the known keys stay", async () => {
    await using broker = await open();
    await tried(broker, good);
    issuer.answers.set("/jwks", down);
    expect(await refreshKeys(broker, { issuer: undefined, ...asked })).toEqual([
      { issuer: "ci", state: "stale", kids: ["good"], held: [], trouble: "the answer's status is 503" },
    ]);
    expect(keyTrouble(broker.verifier.readiness()[0] ?? never())).toEqual([
      { code: "issuer-unavailable", about: "ci: the answer's status is 503" },
    ]);
  });

  test("of an issuer that is not configured changes nothing", async () => {
    {
      await using broker = await open();
      await expect(refreshKeys(broker, { issuer: "cj", ...asked })).rejects.toMatchObject({
        code: "usage",
        message: "no issuer is named cj",
      });
    }
    expect(await recorded()).toEqual([]);
  });
});

describe("keys accept", () => {
  test("takes a held key at once, and after a restart", async () => {
    {
      await using broker = await open();
      await tried(broker, good);
      served = [good, added];
      await broker.verifier.readAnew(undefined);
      expect(await tried(broker, added)).toBe("key-held");
      await acceptKey(broker, { issuer: "ci", kid: "added", ...asked });
      expect(await tried(broker, added)).toBe("accepted");
    }
    await using broker = await open();
    expect(await tried(broker, added)).toBe("accepted");
    expect(broker.verifier.readiness()).toMatchObject([{ kids: ["good", "added"], held: [] }]);
  });

  test("does not take another key that has the same id later", async () => {
    const other = { ...ecKey("added") };
    await using broker = await open();
    await tried(broker, good);
    served = [good, added];
    await broker.verifier.readAnew(undefined);
    await acceptKey(broker, { issuer: "ci", kid: "added", ...asked });
    served = [good, other];
    await broker.verifier.readAnew(undefined);
    expect(await tried(broker, other)).toBe("key-held");
  });

  test.each([
    ["that is not held", "ci", "good"],
    ["that is not there", "ci", "nothing"],
    ["of an issuer that is not configured", "cj", "added"],
  ])("refuses a key %s, and records nothing", async (_, name, kid) => {
    {
      await using broker = await open();
      await tried(broker, good);
      await expect(acceptKey(broker, { issuer: name, kid, ...asked })).rejects.toMatchObject({
        code: "usage",
        message: `${name} has no new key ${kid} that is held back`,
      });
    }
    expect((await recorded()).filter(({ kind }) => kind === "operated")).toEqual([]);
  });
});

function never(): never {
  throw new Error("no issuer");
}
