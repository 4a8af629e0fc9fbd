import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { createMaskSet } from "../../src/masking/mask-set.ts";
import { tooShort } from "../../src/masking/too-short.ts";
import { Secret } from "../../src/secret.ts";

test("a value added while streams run is seen by all of them", () => {
  const set = createMaskSet();
  const [out, err] = [set.masker(), set.masker()];
  expect(out.write(Buffer.from("early-secret.")).toString()).toBe("early-secret.");
  set.add([Secret.of("early-secret")]);
  for (const masker of [out, err]) expect(masker.write(Buffer.from("again early-secret.")).toString()).toBe("again ***.");
});

test("a value added while another one's beginning is held leaves both hidden", () => {
  const set = createMaskSet();
  set.add([Secret.of("first-secret-1")]);
  const masker = set.masker();
  expect(masker.write(Buffer.from("> first-sec")).toString()).toBe("> ");
  set.add([Secret.of("second-secret-2")]);
  expect(masker.write(Buffer.from("ret-1 second-secret-2.")).toString()).toBe("*** ***.");
});

test("a value may begin in bytes that were held for another one when it was added", () => {
  const set = createMaskSet();
  set.add([Secret.of("shared-beginning-A")]);
  const masker = set.masker();
  expect(masker.write(Buffer.from("> shared-beg")).toString()).toBe("> ");
  set.add([Secret.of("shared-beginning-B")]);
  expect(masker.write(Buffer.from("inning-B.")).toString()).toBe("***.");
});

test("a wiped set shows nothing more", () => {
  const set = createMaskSet();
  set.add([Secret.of("first-secret-1")]);
  const masker = set.masker();
  set.wipe();
  expect(() => masker.write(Buffer.from("x"))).toThrow("the masker failed");
});

describe("values that cannot be hidden are refused", () => {
  test.each([
    ["seven bytes", "abc1234", true],
    ["seven bytes and space around them", "  abc1234\n", true],
    ["nothing", "", true],
    ["one character again and again", "aaaaaaaaaaaa", true],
    ["a word that logs are full of", "Production", true],
    ["eight bytes", "abcd1234", false],
    ["a number of eight digits", "83920174", false],
  ])("%s", (_, value, expected) => {
    expect(tooShort(Secret.of(value))).toBe(expected);
  });

  test("adding one says so, and hides the others all the same", () => {
    const set = createMaskSet();
    const adding = () => set.add([Secret.of("dev"), Secret.of("a-true-secret")]);
    expect(adding).toThrow(
      expect.objectContaining({
        code: "delivery-failed",
        message: "a secret is too short or too common to be hidden in output",
      }),
    );
    expect(set.masker().write(Buffer.from("dev a-true-secret.")).toString()).toBe("dev ***.");
  });
});

interface Case {
  readonly id: string;
  readonly title: string;
  readonly tier: number;
  readonly secrets: readonly { readonly value: string }[];
  readonly chunks: readonly string[];
  readonly mustNotAppear: readonly string[];
  readonly mustAppear?: readonly string[];
  readonly expected?: string;
  readonly addSecretsAfterChunk?: { readonly chunk: number; readonly secrets: readonly { readonly value: string }[] };
}

describe("the shared collection of hard cases", () => {
  const file = new URL("../../../shared/masking/cases.json.gz", import.meta.url);
  const cases = existsSync(file) ? (JSON.parse(gunzipSync(readFileSync(file)).toString()) as { cases: Case[] }).cases : [];

  test("no case of tier 1 leaks, and none of them loses what should be shown", (context) => {
    if (cases.length === 0) context.skip("the shared masking cases are not beside this clone");
    const verdicts = cases.filter(({ tier }) => tier === 1).map((one) => `${one.id} ${verdict(one, run(one))}: ${one.title}`);
    expect(verdicts.length).toBeGreaterThan(40);
    expect(verdicts.filter((line) => !line.includes(" ok: "))).toEqual([]);
  });
});

function run(one: Case): string {
  const set = createMaskSet();
  const masker = set.masker();
  arm(one.secrets);
  const shown = one.chunks.map((chunk, index) => {
    const bytes = masker.write(Buffer.from(chunk, "base64"));
    if (one.addSecretsAfterChunk?.chunk === index) arm(one.addSecretsAfterChunk.secrets);
    return bytes;
  });
  return Buffer.concat([...shown, masker.end()]).toString("latin1");

  /** The policy cases bring values that minting refuses; they stay visible. */
  function arm(secrets: Case["secrets"]): void {
    set.add(secrets.map(({ value }) => Secret.of(value)).filter((secret) => !tooShort(secret)));
  }
}

/** A leak is any third of a hidden string, at least six bytes of it. */
function verdict(one: Case, seen: string): "ok" | "LEAK" | "LOST" | "DIFF" {
  if (one.expected !== undefined) return seen === latin1(one.expected) ? "ok" : "DIFF";
  const thirds = one.mustNotAppear.map(latin1).flatMap((hidden) => {
    const length = Math.min(hidden.length, Math.max(6, Math.ceil(hidden.length / 3)));
    return Array.from({ length: hidden.length - length + 1 }, (_, at) => hidden.slice(at, at + length));
  });
  if (thirds.some((third) => seen.includes(third))) return "LEAK";
  return (one.mustAppear ?? []).every((shown) => seen.includes(shown) || seen.includes(latin1(shown))) ? "ok" : "LOST";
}

function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}
