import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { mayfly, type Ran } from "./shell.ts";

let open: OpenDoor;

beforeAll(async () => {
  open = await openDoor();
});
afterAll(() => open[Symbol.asyncDispose]());

const here = (...args: readonly string[]): Promise<Ran> =>
  mayfly(["keys", ...args], { env: { MAYFLY_RUN: join(open.folder, "run"), USER: "ann" } });

describe("keys refresh", () => {
  test("shows what every issuer's tokens are verified with", async () => {
    const { stdout, exit } = await here("refresh", "--why", "x");
    expect(exit).toBe(0);
    expect(stdout).toBe(
      [
        "ISSUER  STATE  KEYS  HELD  TROUBLE",
        "github  ready  k1    k2    -",
        "gitlab  stale  g1    -     no answer within 5000 ms",
        "",
      ].join("\n"),
    );
    expect(open.broker.changes.at(-1)).toEqual({ issuer: undefined, who: "ann", why: "x" });
  });

  test("of one issuer, as JSON", async () => {
    const { stdout, exit } = await here("refresh", "github", "--why", "x", "--who", "cleo", "--json");
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      issuers: [{ issuer: "github", state: "ready", kids: ["k1"], held: ["k2"], trouble: "" }],
    });
    expect(open.broker.changes.at(-1)).toEqual({ issuer: "github", who: "cleo", why: "x" });
  });
});

describe("keys accept", () => {
  test("takes the key, on record with who and why", async () => {
    const { stdout, stderr, exit } = await here("accept", "github", "k2", "--why", "announced");
    expect([stdout, exit]).toEqual(["", 0]);
    expect(stderr).toBe("tokens of github that are signed with k2 are accepted from now on\n");
    expect(open.broker.changes.at(-1)).toEqual({ issuer: "github", kid: "k2", who: "ann", why: "announced" });
  });

  test.each([
    ["a key that is not held", ["github", "k9", "--why", "x"], "mayfly: no new key of github with this id is held back\n"],
    ["no why", ["github", "k2"], "mayfly: required option '--why <text>' not specified\n"],
    ["an empty why", ["github", "k2", "--why", " "], "mayfly: a change names why\nhint: say it with --why\n"],
    ["no key", ["github", "", "--why", "x"], "mayfly: name the issuer and the id of its key\n"],
  ])("with %s changes nothing", async (_, args, said) => {
    const before = open.broker.changes.length;
    const { stderr, exit } = await here("accept", ...args);
    expect(exit).toBe(124);
    expect(stderr).toContain(said);
    expect(open.broker.changes).toHaveLength(before);
  });
});
