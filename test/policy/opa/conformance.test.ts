import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildBundle, type Opa, startOpa } from "../../servers/opa.ts";
import { opaMissing } from "../../servers/opa-binary.ts";
import { grant, grantTo, heard, type Word, wordInBundle, wordOfServer } from "./bench.ts";

/*
 * One policy in Rego and one table for it, once compiled into the broker and once asked of a real OPA server. The policy answers with
 * the value that its data has under the claim `case`, so that every kind of answer comes out of a real evaluation.
 */

const rego = `package mayfly

decision := data.answers[input.identity.claims.case]
`;

/** What Rego answers, and what comes of it: each credential that is left with its seconds, or the code with the operator's words. */
const rows: readonly (readonly [says: string, answer: unknown, comes: unknown])[] = [
  ["allows", { allow: true }, { aws: 600, db: 600 }],
  ["allows with a plain boolean", true, { aws: 600, db: 600 }],
  ["allows with a reason and an id of its own", { allow: true, reason: "a fine run", id: "CHG-1" }, { aws: 600, db: 600 }],
  ["shortens a life", { allow: true, ttl: { db: "5m" } }, { aws: 600, db: 300 }],
  ["gives the life that the template gives", { allow: true, ttl: { db: "10m" } }, { aws: 600, db: 600 }],
  ["takes a credential away", { allow: true, without: ["aws"] }, { db: 600 }],
  ["takes all away", { allow: true, without: ["aws", "db"] }, {}],
  ["does both", { allow: true, without: ["aws"], ttl: { db: "90s" } }, { db: 90 }],
  ["denies", { allow: false }, { overruled: "it denies" }],
  ["denies with a plain boolean", false, { overruled: "it denies" }],
  [
    "denies with a reason",
    { allow: false, reason: "the freeze goes on until Monday" },
    { overruled: "the freeze goes on until Monday" },
  ],
  ["denies and narrows", { allow: false, ttl: { db: "5m" } }, { overruled: "it denies" }],
];

const unavailable = (detail: string) => `last-word-unavailable: ${detail}`;
const odd = (detail: string) => unavailable(`the answer is not understood: ${detail}`);

const refused: readonly (readonly [says: string, answer: unknown, comes: string])[] = [
  [
    "a longer life",
    { allow: true, ttl: { db: "11m" } },
    unavailable("the answer gives db a longer life than the template does"),
  ],
  [
    "a life for a credential that is not granted",
    { allow: true, ttl: { root: "5m" } },
    unavailable("the answer names root, which is no credential of this run"),
  ],
  [
    "to take away what is not granted",
    { allow: true, without: ["dbb"] },
    unavailable("the answer names dbb, which is no credential of this run"),
  ],
  [
    "a life for a name that no reader sees",
    { allow: true, ttl: JSON.parse(`{"__proto__":"5m"}`) },
    odd("it has a key that nobody reads: __proto__"),
  ],
  [
    "a life of a millisecond",
    { allow: true, ttl: { db: "1ms" } },
    odd("ttl.db: write a life in whole seconds: 90s, 15m or 12h"),
  ],
  [
    "a life for a name of every object",
    { allow: true, ttl: { constructor: "5m" } },
    unavailable("the answer names constructor, which is no credential of this run"),
  ],
  [
    "a life without a unit",
    { allow: true, ttl: { db: 300 } },
    odd("ttl.db: 300 has no unit: write a duration as a whole number and a unit: 250ms, 90s, 15m, 12h or 7d"),
  ],
  [
    "a life of nothing",
    { allow: true, ttl: { db: "0s" } },
    odd("ttl.db: write a duration as a whole number and a unit: 250ms, 90s, 15m, 12h or 7d"),
  ],
  ["a key that is misspelt", { allow: true, withot: ["aws"] }, odd(': Unrecognized key: "withot"')],
  ["more than it may give", { allow: true, credentials: ["root"] }, odd(': Unrecognized key: "credentials"')],
  ["no verdict", { reason: "it is fine" }, odd("allow: Invalid input: expected boolean, received undefined")],
  ["a verdict in words", { allow: "yes" }, odd("allow: Invalid input: expected boolean, received string")],
  ["an empty object", {}, odd("allow: Invalid input: expected boolean, received undefined")],
  ["null", null, odd(": Invalid input: expected object, received null")],
  ["a number", 1, odd(": Invalid input: expected object, received number")],
  ["a word", "true", odd(": Invalid input: expected object, received string")],
  ["a list of answers", [{ allow: true }], odd(": Invalid input: expected object, received array")],
  ["a reason of several lines", { allow: true, reason: "a\nb" }, odd("reason: write one line of at most 500 characters")],
  ["an id that would break a line", { allow: true, id: "a b" }, odd("id: an id is at most 128 letters, digits and '._:/-'")],
];

const missing = opaMissing();
const answers = Object.fromEntries([...rows, ...refused].map(([says, answer]) => [says, answer]));
let folder: string;
let server: Opa;
const words = new Map<string, Word>();

beforeAll(async () => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "mayfly-opa-"));
  server = await startOpa(rego, { answers });
  words.set("a bundle", await wordInBundle(await buildBundle(folder, rego, { answers })));
  words.set("a server", wordOfServer({ server: server.address }));
  words.set("a server on a Unix socket", wordOfServer({ server: `unix://${server.socket}` }));
}, 60_000);

afterAll(async () => {
  await server?.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

function word(name: string, skip: (why: string) => void): Word {
  if (missing !== undefined) skip(missing);
  const found = words.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe.each(["a bundle", "a server", "a server on a Unix socket"])("the last word of %s", (name) => {
  test.for(rows)("%s", async ([says, , comes], { skip }) => {
    expect(await heard(word(name, skip), grantTo({ case: says }))).toEqual(comes);
  });

  test.for(refused)("is none when it asks for %s", async ([says, , comes], { skip }) => {
    expect(await heard(word(name, skip), grantTo({ case: says }))).toEqual(comes);
  });

  test("is none where no rule holds", async ({ skip }) => {
    const none = unavailable("no rule gave an answer: write a default");
    expect(await heard(word(name, skip), grantTo({ case: "nobody wrote this" }))).toEqual(none);
    expect(await heard(word(name, skip), grantTo({}))).toEqual(none);
  });

  test("changes nothing else of a grant, and says in its reason that it narrowed", async ({ skip }) => {
    const signal = new AbortController().signal;
    const asked = grantTo({ case: "does both" });
    const { outcome } = await word(name, skip).ask(asked, signal);
    const [, db] = asked.credentials;
    expect(outcome).toEqual({
      ...asked,
      reason: "it matched, narrowed by the site's last word",
      credentials: [{ ...db, ttl: 90_000 }],
    });
    expect((await word(name, skip).ask(grantTo({ case: "allows" }), signal)).outcome).toEqual(grantTo({ case: "allows" }));
  });

  test("is a denial that the caller hears the code's sentence of, and the operator its reason", async ({ skip }) => {
    const { outcome } = await word(name, skip).ask(grantTo({ case: "denies with a reason" }), new AbortController().signal);
    expect(outcome).toEqual({
      kind: "denied",
      code: "overruled",
      message: "the site's last word refused what a template grants",
      policy: grant.policy,
      trace: [
        {
          template: "deploy/production",
          matched: true,
          lines: [{ line: "the site's last word", held: false, expected: "allow", found: "the freeze goes on until Monday" }],
        },
      ],
    });
  });

  test("gives way to the reason for which the run was ended meanwhile", async ({ skip }) => {
    const ended = AbortSignal.abort(new Error("contained"));
    await expect(word(name, skip).ask(grantTo({ case: "allows" }), ended)).rejects.toThrow("contained");
  });
});

describe("the id of a decision", () => {
  test("is the server's own, as its decision log has it", async ({ skip }) => {
    const { decision } = await word("a server", skip).ask(grantTo({ case: "allows" }), new AbortController().signal);
    expect(decision).toMatch(/^opa:[0-9a-f-]{36}$/);
    await expect.poll(() => server.output().includes(`"decision_id":"${decision.slice("opa:".length)}"`)).toBe(true);
  });

  test("names the bundle's digest, and is new each time or the policy's own", async ({ skip }) => {
    const ask = async (says: string) =>
      (await word("a bundle", skip).ask(grantTo({ case: says }), new AbortController().signal)).decision;
    const [first, second, own] = [
      await ask("allows"),
      await ask("denies"),
      await ask("allows with a reason and an id of its own"),
    ];
    expect([first, second]).toEqual([expect.stringMatching(/^opa:[0-9a-f]{12}:[0-9a-f]{16}$/), expect.any(String)]);
    expect(second).not.toBe(first);
    expect(own).toBe(`${first.slice(0, 16)}:CHG-1`);
  });
});
