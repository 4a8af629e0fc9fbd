import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/time.ts";
import { lodge, type TestLodging } from "./lodging.ts";
import { brokersProof, given, type Json, type Puppet, pull, started, until } from "./puppet.ts";

/** What a plug-in prints, and what of it gets into the operator's log. */
let home: TestLodging;
beforeEach(() => {
  home = lodge("puppet");
});
afterEach(() => home[Symbol.asyncDispose]());

const print = (text: string, parts: Json = {}) => ({ do: "print", text, ...parts });
const said = (count: number) => until(() => home.said().length >= count);
const leftOut = () =>
  home.lines.flatMap((line) => {
    const { lines } = JSON.parse(line) as { lines?: number };
    return lines ?? [];
  });
const mintQuietly = (puppet: Puppet, options?: Json) => puppet.mint(options).catch(() => undefined);

describe("what a plug-in prints", () => {
  it("is in the log line by line, from both streams, under its name", async () => {
    const puppet = pull(home, {
      script: { serve: { acts: [print("hello"), print("a warning", { to: "stderr" }), print("no line feed", { end: "" })] } },
    });
    await puppet.mint();
    puppet.play({ Mint: { acts: [print(" yet\u0007")], body: given() } });
    await puppet.mint();
    await said(3);
    expect(home.said().toSorted()).toEqual(["a warning", "hello", "no line feed yet\u0007"]);
    expect(home.lines.find((line) => line.includes("a warning"))).toMatch(/"provider":"puppet","stream":"stderr"/);
    expect(home.lines.join("")).not.toContain("\u0007");
  });

  it("shows no secret, whether it was printed before its broker knew it, beside the answer, or after", async () => {
    const secret = "tok-lse-9-secret";
    const puppet = pull(home);
    puppet.play({
      Mint: {
        acts: [
          print("made tok-LEASE-secret"),
          print("base64: dG9rLWxzZS05LXNlY3JldA=="),
          print("bearer tok-LEASE-secret", { to: "stderr" }),
        ],
        body: given(),
        after: [print("gave tok-LEASE-secret"), { do: "later", seconds: 0.3, acts: [print("still tok-LEASE-secret")] }],
      },
    });
    await puppet.mint({ kind: "bearer" }, { lease: "lse-9" });
    await said(5);
    expect(home.said().filter((line) => line.includes("made") || line.includes("gave") || line.includes("still"))).toHaveLength(
      3,
    );
    expect(home.lines.join("")).not.toContain(secret);
    expect(home.lines.join("")).not.toContain("dG9rLWxzZS05LXNlY3JldA");
  });

  it("shows no line of a key that has many", async () => {
    const lines = ["-----BEGIN PRIVATE KEY-----", "MC4CAQAwBQYDK2VwBCIEIJ0vKcanary", "-----END PRIVATE KEY-----"];
    const puppet = pull(home);
    puppet.play({
      Mint: {
        acts: lines.map((line) => print(line)),
        body: given({ fields: { fields: { key: lines.join("\n") } } }, { stored: {} }),
      },
    });
    await puppet.mint({ kind: "fields" });
    await said(3);
    expect(home.lines.join("")).not.toContain("canary");
  });

  it("shows no proof of the broker's", async () => {
    const puppet = pull(home, { as: "broker", entry: { audience: "https://up.example.com" } });
    puppet.play({ Mint: { acts: [print(`I was shown ${brokersProof}`)], body: given() } });
    await puppet.mint();
    await said(1);
    expect(home.said()[0]).toMatch(/^I was shown \*+|^I was shown /);
    expect(home.lines.join("")).not.toContain(brokersProof);
  });

  it.each<[string, Json]>([
    ["died", { acts: [print("made tok-LEASE-secret"), { do: "kill" }] }],
    ["never answered", { acts: [print("made tok-LEASE-secret"), { do: "sleep", seconds: 3 }] }],
    ["answered with what nobody understands", { acts: [print("made tok-LEASE-secret")], body: "tok-LEASE-secret" }],
    ["spoke of it only later", { acts: [{ do: "later", seconds: 0.3, acts: [print("made tok-LEASE-secret")] }] }],
  ])("is withheld and counted beside an answer that was lost: it %s", async (_, script) => {
    const puppet = pull(home, { timeout: "700ms" });
    await started(puppet);
    puppet.play({ Mint: script });
    await mintQuietly(puppet);
    await until(() => leftOut().length > 0);
    expect(leftOut()).toEqual([1]);
    expect(home.lines.join("")).not.toMatch(/tok-lse|made/);
  });

  it("is shown where the plug-in says by itself what went wrong", async () => {
    const puppet = pull(home);
    puppet.play({
      Mint: {
        acts: [print("Traceback: KeyError: 'id'", { to: "stderr" })],
        status: 500,
        body: { code: "internal", message: "KeyError" },
      },
    });
    await mintQuietly(puppet);
    await said(1);
    expect(home.said()).toEqual(["Traceback: KeyError: 'id'"]);
  });

  it("is shown where it died at its start: no secret was there yet", async () => {
    const puppet = pull(home, {
      timeout: "300ms",
      script: { serve: { acts: [print("no such file: /etc/key", { to: "stderr" }), { do: "exit", code: 1 }] } },
    });
    await mintQuietly(puppet);
    await said(1);
    expect(home.said()[0]).toBe("no such file: /etc/key");
  });

  it("waits for the slowest of the calls that it may speak of", async () => {
    const puppet = pull(home);
    puppet.play({ Mint: { acts: [{ do: "sleep", seconds: 0.6 }], body: given() } });
    const slow = puppet.mint();
    await until(() => puppet.wrote("calls").length === 1);
    puppet.play({ Mint: { acts: [print("beside it")], body: given() } });
    await puppet.mint();
    await systemClock.sleep(100);
    expect(home.said()).toEqual([]);
    await slow;
    await said(1);
  });
});

describe("too much of it", () => {
  it("is counted and left out, and holds nobody up", async () => {
    const puppet = pull(home, { timeout: "1s" });
    await started(puppet);
    puppet.play({ Mint: { acts: [{ do: "flood", text: "x".repeat(200), times: 20_000 }], body: given() } });
    const before = performance.now();
    await puppet.mint();
    await puppet.mint();
    expect(performance.now() - before).toBeLessThan(5_000);
    await until(() => leftOut().length > 0);
    await systemClock.sleep(1_200);
    expect(home.said().length).toBeLessThanOrEqual(400);
    expect(home.said().length + leftOut().reduce((sum, count) => sum + count, 0)).toBe(40_000);
  });

  it("in one line is left out as a whole: a cut could go through a secret", async () => {
    const puppet = pull(home, { timeout: "500ms" });
    await started(puppet);
    puppet.play({
      Mint: {
        acts: [
          print(`${"x".repeat(9_000)} tok-LEASE-secret`),
          print("y".repeat(3_000_000), { end: "" }),
          print(""),
          print("short"),
        ],
        body: given(),
      },
    });
    await puppet.mint();
    await said(1);
    await until(() => leftOut().length > 0);
    expect(home.said()).toEqual(["short"]);
    expect(leftOut()).toEqual([2]);
  });
});
