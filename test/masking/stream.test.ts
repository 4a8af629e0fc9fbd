import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Pattern } from "../../src/masking/forms.ts";
import { Scanner } from "../../src/masking/scanner.ts";
import { MaskedStream } from "../../src/masking/stream.ts";
import { maskedByOracle } from "./oracle.ts";

function pattern(text: string, cut: Partial<Pattern> = {}): Pattern {
  return { bytes: Buffer.from(text, "latin1"), cutLeft: false, cutRight: false, ...cut };
}

function streamed(chunks: readonly Uint8Array[], patterns: readonly Pattern[]): string {
  const scanner = new Scanner(patterns);
  const stream = new MaskedStream(() => scanner);
  return Buffer.concat([...chunks.map((chunk) => stream.write(chunk)), stream.end()]).toString("latin1");
}

const cut = { cutLeft: true, cutRight: true };

describe("every byte of every occurrence is hidden, in one chunk and byte by byte", () => {
  test.each<[string, Pattern[], string, string]>([
    ["two overlapping secrets are one mask", [pattern("abcdefX"), pattern("Xuvwxyz")], "-abcdefXuvwxyz-", "-***-"],
    ["two touching secrets are two", [pattern("abcd"), pattern("wxyz")], "-abcdwxyz-", "-******-"],
    ["a secret inside a longer one", [pattern("secret-key"), pattern("ret")], "-secret-key-ret-", "-***-***-"],
    [
      "the short one inside a long one that failed late",
      [pattern("Q-dead-tail"), pattern("dead")],
      "Q-dead-taiX",
      "Q-***-taiX",
    ],
    ["occurrences of one secret that overlap", [pattern("abab")], "xabababx", "x***x"],
    ["a beginning that repeats itself", [pattern("ghp_ghp_ABCD")], "ghp_ghp_ghp_ABCD!", "ghp_***!"],
    ["a failed beginning that hides a true one", [pattern("s3s3cret")], "s3s3s3cret", "s3***"],
    ["bytes that are no text", [pattern("\xff\x00\xfe\x01")], "a\xff\x00\xfe\x01b", "a***b"],
    ["the characters beside cut base64", [pattern("YWJj", cut)], "=xYWJjz==;", "=***;"],
    ["but none that base64 would not print", [pattern("YWJj", cut)], ".YWJj.", ".***."],
    ["the mask's own characters", [pattern("***a***")], "x***a***y***", "x***y***"],
  ])("%s", (_, patterns, stream, expected) => {
    const bytes = Buffer.from(stream, "latin1");
    expect(streamed([bytes], patterns)).toBe(expected);
    expect(
      streamed(
        [...bytes].map((byte) => Buffer.of(byte)),
        patterns,
      ),
    ).toBe(expected);
  });
});

describe("the end of a stream", () => {
  test.each([
    ["more than half of a secret is hidden", "out: super-sec", "out: ***"],
    ["half of one is shown, as it would be in the middle", "out: super-s", "out: super-s"],
    ["three bytes are shown", "out: sup", "out: sup"],
  ])("%s", (_, stream, expected) => {
    expect(streamed([Buffer.from(stream)], [pattern("super-secret-1")])).toBe(expected);
  });
});

test("only a beginning of some form is held back", () => {
  const scanner = new Scanner([pattern("secret-1")]);
  const stream = new MaskedStream(() => scanner);
  const shown = ["a line\n", "se", "cre", "x secret-1", " rest\n"].map((text) => stream.write(Buffer.from(text)).toString());
  expect(shown).toEqual(["a line\n", "", "", "secrex ***", " rest\n"]);
});

test("what was shown is a copy: a caller that reads into the same buffer again overwrites nothing", () => {
  const scanner = new Scanner([pattern("secret-1")]);
  const stream = new MaskedStream(() => scanner);
  const buffer = Buffer.from("harmless.");
  const shown = stream.write(buffer);
  buffer.write("secret-1.");
  expect(shown.toString()).toBe("harmless.");
});

test("a masker that failed once throws for ever, whatever it is given", () => {
  let failing = false;
  const scanner = new Scanner([pattern("secret-1")]);
  const stream = new MaskedStream(() => {
    if (failing) throw new Error("broken");
    return scanner;
  });
  expect(stream.write(Buffer.from("fine.")).toString()).toBe("fine.");
  failing = true;
  expect(() => stream.write(Buffer.from("x"))).toThrow("the masker failed, so its stream shows nothing more");
  failing = false;
  expect(() => stream.write(Buffer.from("y"))).toThrow("the masker failed");
  expect(() => stream.end()).toThrow("the masker failed");
});

test("nothing comes after the end", () => {
  const stream = new MaskedStream(() => new Scanner([]));
  stream.end();
  expect(() => stream.write(Buffer.from("x"))).toThrow("the masked stream has ended");
});

test("patterns that were made to be slow are not: a long run of one letter, and a match at every byte", () => {
  const run = Buffer.alloc(1 << 20, "a");
  const started = performance.now();
  expect(streamed([run], [pattern(`${"a".repeat(1000)}b`), pattern("a".repeat(64))])).toBe("***");
  expect(
    streamed(
      Array.from({ length: 20_000 }, () => Buffer.from("a")),
      [pattern(`${"a".repeat(19_000)}b`)],
    ).length,
  ).toBeGreaterThan(0);
  expect(performance.now() - started).toBeLessThan(5_000);
});

describe("a slow, plain oracle agrees", () => {
  // Few letters, so that patterns overlap, nest and fail late all the time; `=` and a dot stand for padding and for the rest.
  const text = (max: number) =>
    fc.array(fc.constantFrom("a", "b", "A", "=", "."), { minLength: 1, maxLength: max }).map((all) => all.join(""));
  const anyPattern = fc.record({ text: text(6), cutLeft: fc.boolean(), cutRight: fc.boolean() });
  const chunked = fc.array(fc.array(fc.constantFrom("a", "b", "A", "=", "."), { maxLength: 9 }), { maxLength: 8 });

  test("for 10,000 random sets of patterns and chunkings", () => {
    fc.assert(
      fc.property(fc.array(anyPattern, { maxLength: 5 }), chunked, (given, letters) => {
        const patterns = given.map(({ text, ...flags }) => pattern(text, flags));
        const chunks = letters.map((chunk) => Buffer.from(chunk.join("")));
        const whole = Buffer.concat(chunks);
        const expected = maskedByOracle(whole, patterns);
        expect(streamed(chunks, patterns)).toBe(expected);
        expect(
          streamed(
            [...whole].map((byte) => Buffer.of(byte)),
            patterns,
          ),
        ).toBe(expected);
      }),
      { numRuns: 10_000 },
    );
  });
});
