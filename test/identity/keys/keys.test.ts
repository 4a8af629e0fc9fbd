import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { discoverKeys } from "../../../src/identity/keys/discover.ts";
import { readRegularFile } from "../../../src/identity/keys/file.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import { KeyMemory } from "../../../src/identity/keys/key-memory.ts";
import { Keys, rhythms } from "../../../src/identity/keys/keys.ts";
import { issuerFetch } from "../../../src/identity/keys/network.ts";
import type { KeySource } from "../../../src/identity/profile.ts";
import { systemClock } from "../../../src/time.ts";
import { type Answer, discovery, json, now, rsaKey, startIssuer, type TestIssuer, type TestKey } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { profileOf } from "./key-rows/stage.ts";
import { down, falseLength, silence } from "./misbehaving.ts";

const first = rsaKey("first");
const second = rsaKey("second");
const minute = 60_000;
const never = new AbortController().signal;

let served: unknown[];
let issuer: TestIssuer;
let clock: ManualClock;
let keys: Keys;

beforeEach(async () => {
  served = [first.jwk];
  issuer = await startIssuer(() => ({ keys: served }));
  clock = new ManualClock(now);
  keys = keysOf(issuer.url, clock);
});

afterEach(() => issuer[Symbol.asyncDispose]());

function keysOf(url: string, clockOf: ManualClock | typeof systemClock, source?: KeySource): Keys {
  const usual = profileOf(url);
  const profile = { ...usual, keys: source ?? usual.keys };
  const reading = { fetch: issuerFetch, readFile: readRegularFile };
  return new Keys({
    load: (signal) => discoverKeys(profile, reading, signal),
    rhythm: rhythms[profile.keys.kind],
    memory: new KeyMemory({ issuer: "test", hold: 0, history: noHistory, clock: clockOf }),
    clock: clockOf,
  });
}

async function outcome(key: Pick<TestKey, "kid">, from = keys): Promise<string> {
  try {
    await from.find({ alg: "RS256", kid: key.kid }, never, () => true);
    return "found";
  } catch (error) {
    if (error instanceof BrokerError) return error.code;
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

const unknown = "token-signature";
const fetches = () => issuer.asked.get("/jwks") ?? 0;
const attempts = () => issuer.asked.get(discovery) ?? 0;

describe("an issuer's keys", () => {
  it("are fetched once for a hundred that ask at once", async () => {
    expect(keys.state).toBe("untried");
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => outcome(first)));
    expect(new Set(outcomes)).toEqual(new Set(["found"]));
    expect(fetches()).toBe(1);
    expect(keys.state).toBe("ready");
  });

  it("are fetched again after five minutes, and a withdrawn key is refused then", async () => {
    expect(await outcome(first)).toBe("found");
    served = [second.jwk];
    clock.advance(5 * minute + 1);
    expect(await outcome(first)).toBe(unknown);
    expect(await outcome(second)).toBe("found");
    expect(fetches()).toBe(2);
  });

  it("are fetched again after four minutes while nobody waits for it", async () => {
    expect(await outcome(first)).toBe("found");
    issuer.answers.set("/jwks", silence);
    clock.advance(4 * minute);
    expect(await outcome(first)).toBe("found");
    expect(fetches()).toBe(1);
    clock.advance(1);
    expect(await outcome(first)).toBe("found");
    await waitFor(() => fetches() === 2);
    clock.advance(4_500);
    await waitFor(() => keys.state === "stale");
    clock.advance(minute);
    expect(await outcome(first)).toBe("found");
    expect(keys.trouble).toBe("no answer within 4500 ms");
  });

  it("a new key is found 30 seconds after the last look", async () => {
    expect(await outcome(first)).toBe("found");
    served = [first.jwk, second.jwk];
    clock.advance(29_999);
    expect(await outcome(second)).toBe(unknown);
    clock.advance(1);
    expect(await outcome(second)).toBe("found");
    expect(fetches()).toBe(2);
  });

  it("ten thousand unknown kids make one request in 30 seconds", async () => {
    await outcome(first);
    clock.advance(30_000);
    for (let index = 0; index < 10_000; index += 1) await outcome({ kid: `k${index}` });
    expect(fetches()).toBe(2);
  });

  it("carry on for an hour while the issuer is away, then not", async () => {
    await outcome(first);
    issuer.answers.set("/jwks", down);
    clock.advance(60 * minute);
    expect(await outcome(first)).toBe("found");
    expect(keys.state).toBe("stale");
    expect(keys.trouble).toBe("the answer's status is 503");
    expect(await outcome(second)).toBe("issuer-unavailable");
    clock.advance(1);
    expect(await outcome(first)).toBe("issuer-unavailable");
    expect(keys.state).toBe("unavailable");
  });

  it("are asked for after 5, 10, 20, 30 and 30 seconds while the issuer fails, and found 30 seconds after it is back", async () => {
    issuer.answers.set("/jwks", down);
    const seen: number[] = [];
    for (let moment = 0; moment <= 100; moment += 1) {
      const before = attempts();
      expect(await outcome(first)).toBe("issuer-unavailable");
      if (attempts() > before) seen.push(moment);
      clock.advance(1_000);
    }
    expect(seen).toEqual([0, 5, 15, 35, 65, 95]);
    issuer.answers.set(
      "/jwks",
      json(() => ({ keys: served })),
    );
    clock.advance(30_000);
    expect(await outcome(first)).toBe("found");
  });

  it("an outage from cold makes one request for a thousand jobs", async () => {
    issuer.answers.set(discovery, down);
    const outcomes = await Promise.all(Array.from({ length: 1_000 }, () => outcome(first)));
    expect(new Set(outcomes)).toEqual(new Set(["issuer-unavailable"]));
    expect(attempts()).toBe(1);
  });

  it("a caller who goes away does not end the attempt for the others", async () => {
    const leaver = new AbortController();
    const left = Promise.resolve(keys.find({ alg: "RS256", kid: "first" }, leaver.signal, () => true)).catch(
      (error: unknown) => error,
    );
    const stays = outcome(first);
    leaver.abort();
    expect(await left).toMatchObject({ name: "AbortError" });
    expect(await stays).toBe("found");
  });

  it("are read anew when an operator asks, although the issuer was asked a moment ago", async () => {
    await outcome(first);
    served = [second.jwk];
    await keys.readAnew();
    expect(await outcome(first)).toBe(unknown);
    expect(await outcome(second)).toBe("found");
    expect(fetches()).toBe(2);
  });

  it("an attempt that began before the operator asked does not answer for the one after it", async () => {
    let answer = (): void => undefined;
    issuer.answers.set("/jwks", (_, response) => {
      answer = () => response.end(JSON.stringify({ keys: [first.jwk] }));
    });
    const early = outcome(first);
    await waitFor(() => fetches() === 1);
    issuer.answers.set(
      "/jwks",
      json(() => ({ keys: [second.jwk] })),
    );
    await keys.readAnew();
    answer();
    expect(await early).toBe(unknown);
    expect(await outcome(second)).toBe("found");
    expect(keys.trouble).toBeUndefined();
  });

  it("an operator who asks about an issuer that hangs is answered within two seconds, and the keys stay", async () => {
    await outcome(first);
    issuer.answers.set("/jwks", silence);
    const asked = keys.readAnew();
    await waitFor(() => fetches() === 2);
    clock.advance(1_500);
    await asked;
    expect([keys.state, keys.trouble]).toEqual(["stale", "no answer within 1500 ms"]);
    expect(await outcome(first)).toBe("found");
  });

  it("in mayfly.yaml need no network, and never grow old", async () => {
    const inline = keysOf("https://issuer.example", clock, { kind: "inline", text: JSON.stringify({ keys: [first.jwk] }) });
    for (const passed of [0, minute, 60 * minute, 10_000 * minute]) {
      clock.advance(passed);
      expect(await outcome(first, inline)).toBe("found");
      expect(await outcome(second, inline)).toBe(unknown);
      expect(inline.state).toBe("ready");
    }
    expect(issuer.asked.size).toBe(0);
  });
});

describe("keys in a file", () => {
  let folder: string;
  let path: string;
  let fromFile: Keys;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mayfly-keys-"));
    path = join(folder, "jwks.json");
    await writeFile(path, JSON.stringify({ keys: [first.jwk] }));
    fromFile = keysOf("https://issuer.example", clock, { kind: "file", path });
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("need no network, and are read again after 30 seconds", async () => {
    expect(await outcome(first, fromFile)).toBe("found");
    await writeFile(path, JSON.stringify({ keys: [second.jwk] }));
    clock.advance(30_001);
    expect(await outcome(first, fromFile)).toBe(unknown);
    expect(await outcome(second, fromFile)).toBe("found");
    expect(issuer.asked.size).toBe(0);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    ["that is gone", () => rm(path), "no answer could be read (ENOENT)"],
    ["that is half written", () => writeFile(path, '{"keys":['), "what came is not strict JSON"],
    [
      "that is longer than 256 KiB",
      () => writeFile(path, Buffer.alloc(256 * 1024 + 1, " ")),
      "the file is longer than 262144 bytes",
    ],
    [
      "in whose place is a pipe",
      async () => {
        await rm(path);
        execFileSync("mkfifo", [path]);
      },
      "the file is not a regular file",
    ],
    [
      "in whose place is a folder",
      async () => {
        await rm(path);
        execFileSync("mkdir", [path]);
      },
      "the file is not a regular file",
    ],
  ])("%s carry on for an hour", async (_, damage, why) => {
    await outcome(first, fromFile);
    await damage();
    clock.advance(60 * minute);
    expect(await outcome(first, fromFile)).toBe("found");
    expect(fromFile.trouble).toContain(why);
    clock.advance(1);
    expect(await outcome(first, fromFile)).toBe("issuer-unavailable");
  });

  it("a file of 256 KiB is read", async () => {
    await writeFile(path, JSON.stringify({ keys: [first.jwk] }).padEnd(256 * 1024));
    expect(await outcome(first, fromFile)).toBe("found");
  });
});

const padded = (bytes: number) => ({ keys: [first.jwk], padding: "a".repeat(bytes) });

describe("a document that is not believed", () => {
  it.each<[string, string, () => Answer, string]>([
    [
      "discovery that speaks for another issuer",
      discovery,
      () => json(() => ({ issuer: "https://evil.example", jwks_uri: `${issuer.url}/jwks` })),
      "speaks for another issuer",
    ],
    [
      "discovery with a slash behind the issuer",
      discovery,
      () => json(() => ({ issuer: `${issuer.url}/`, jwks_uri: `${issuer.url}/jwks` })),
      "speaks for another issuer",
    ],
    ["discovery without keys", discovery, () => json(() => ({ issuer: issuer.url })), "names no keys"],
    ["discovery that is a list", discovery, () => json(() => []), "is not an object"],
    [
      "a redirect",
      discovery,
      () => (_, response) => response.writeHead(302, { location: `${issuer.url}/elsewhere` }).end(),
      "status is 302",
    ],
    [
      "a redirect of the keys to the metadata service",
      "/jwks",
      () => (_, response) => response.writeHead(307, { location: "http://169.254.169.254/" }).end(),
      "status is 307",
    ],
    [
      "keys as text/html",
      "/jwks",
      () => (_, response) => response.setHeader("content-type", "text/html").end("<html>"),
      "the answer is a page of HTML",
    ],
    ["an empty set", "/jwks", () => json(() => ({ keys: [] })), "the set is empty"],
    ["no set at all", "/jwks", () => json(() => ({})), "not a key set"],
    [
      "only keys for encryption",
      "/jwks",
      () => json(() => ({ keys: [{ ...first.jwk, use: "enc" }] })),
      "no usable key: not for signing tokens",
    ],
    [
      "two keys with the same kid",
      "/jwks",
      () => json(() => ({ keys: [first.jwk, { ...second.jwk, kid: "first" }] })),
      "two keys with the same kid",
    ],
    [
      "101 keys",
      "/jwks",
      () => json(() => ({ keys: Array.from({ length: 101 }, (_, n) => ({ kid: `${n}` })) })),
      "more than 100 keys",
    ],
    ["257 KiB", "/jwks", () => json(() => padded(257 * 1024)), "longer than 262144 bytes"],
    ["a length that promises little", "/jwks", () => falseLength(10, "{".repeat(1_000)), "what came is not strict JSON"],
    [
      "a compressed body",
      "/jwks",
      () => (_, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x"),
      "compressed",
    ],
    [
      "keys at the metadata service",
      discovery,
      () => json(() => ({ issuer: issuer.url, jwks_uri: "http://169.254.169.254/" })),
      "a link-local address or a metadata service is not allowed",
    ],
    ["a set with a member twice", "/jwks", () => (_, response) => response.end('{"keys":[],"keys":[]}'), "strict JSON"],
    ["a connection that ends", "/jwks", () => (request) => request.socket.destroy(), "no answer could be read (ECONNRESET)"],
  ])("%s never replaces the good one", async (_, path, answer, why) => {
    await outcome(first);
    issuer.answers.set(path, answer());
    clock.advance(5 * minute + 1);
    expect(await outcome(first)).toBe("found");
    expect(keys.state).toBe("stale");
    expect(keys.trouble).toContain(why);
    expect(issuer.asked.get("/elsewhere")).toBeUndefined();
  });

  it("256 KiB are read", async () => {
    issuer.answers.set(
      "/jwks",
      json(() => padded(250 * 1024)),
    );
    expect(await outcome(first)).toBe("found");
  });

  it.each<[string, Answer]>([
    ["a body without end", (_, response) => void setInterval(() => response.write("1"), 50).unref()],
    ["a head that never comes", () => undefined],
  ])("%s is given up after five seconds", async (_, answer) => {
    issuer.answers.set("/jwks", answer);
    const asked = outcome(first);
    await waitFor(() => fetches() === 1);
    clock.advance(4_499);
    expect(await Promise.race([asked, systemClock.sleep(100).then(() => "waits")])).toBe("waits");
    clock.advance(1);
    expect(await asked).toBe("issuer-unavailable");
    expect(keys.trouble).toBe("no answer within 4500 ms");
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await systemClock.sleep(5);
}
