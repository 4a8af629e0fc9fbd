import { describe, expect, test } from "vitest";
import { asBrokerError, BrokerError, codes, isCode } from "../src/errors.ts";

describe("every code has a sentence: lower case, no full stop, one line", () => {
  test.each(Object.entries(codes))("%s", (code, sentence) => {
    expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(sentence).toMatch(/^[a-z][^\n]*[^.\s]$/);
  });

  test("and no two codes say the same", () => {
    expect(new Set(Object.values(codes)).size).toBe(Object.keys(codes).length);
  });
});

test("an error's message is its code's sentence, unless it has a better one", () => {
  expect(new BrokerError("busy")).toMatchObject({ code: "busy", message: codes.busy, hint: undefined, detail: undefined });
  expect(new BrokerError("busy", "all 4 places are taken", { hint: "wait" })).toMatchObject({
    message: "all 4 places are taken",
    hint: "wait",
  });
});

describe("what we did not foresee becomes `internal`, and its text stays with the operator", () => {
  test.each<[string, unknown]>([
    ["an error", new Error("password is hunter2")],
    ["a string", "password is hunter2"],
    ["an error without a stack", Object.assign(new Error("password is hunter2"), { stack: undefined })],
  ])("%s", (_, thrown) => {
    const error = asBrokerError(thrown);
    expect(error).toMatchObject({ code: "internal", message: codes.internal, cause: thrown });
    expect(error.message + String(error.hint)).not.toContain("hunter2");
    expect(error.detail).toContain("hunter2");
  });

  test("a BrokerError stays itself", () => {
    const error = new BrokerError("busy");
    expect(asBrokerError(error)).toBe(error);
  });
});

test.each([
  ["busy", true],
  ["toString", false],
  ["", false],
])("isCode(%j) is %s", (text, expected) => {
  expect(isCode(text)).toBe(expected);
});
