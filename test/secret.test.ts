import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { Secret } from "../src/secret.ts";

const secret = () => Secret.of("hunter2-prod");

describe("a secret cannot be printed", () => {
  test.each<[string, (value: Secret) => string]>([
    ["as a string", (value) => String(value)],
    ["in a template", (value) => `${value}`],
    ["by joining", (value) => [value].join()],
    ["as JSON", (value) => JSON.stringify({ value })],
    ["by console.log", (value) => inspect({ value }, { showHidden: true, depth: 9 })],
    ["by its own keys", (value) => JSON.stringify(Object.entries(value)) + Reflect.ownKeys(value).join()],
    ["spread into an object", (value) => JSON.stringify(Object.assign({}, value))],
    ["in an error's message", (value) => new Error(`no: ${value}`).message],
  ])("%s", (_, print) => {
    expect(print(secret())).not.toContain("hunter2");
  });

  test("and what is printed instead says so", () => {
    expect([String(secret()), JSON.stringify(secret()), inspect(secret())]).toEqual(["[secret]", '"[secret]"', "[secret]"]);
  });
});

test("the bytes leave through use, and only there", () => {
  expect(secret().use((bytes) => bytes.toString())).toBe("hunter2-prod");
  expect(secret().length).toBe(12);
});

test("it keeps a copy: the caller may wipe its own", () => {
  const own = Buffer.from("hunter2-prod");
  const kept = Secret.of(own);
  own.fill(0);
  expect(kept.use((bytes) => bytes.toString())).toBe("hunter2-prod");
});

test("wiping overwrites the very bytes that were lent, and a later use is an error, never an empty credential", () => {
  const one = secret();
  const lent = one.use((bytes) => bytes);
  one.wipe();
  expect([...lent]).toEqual(Array.from({ length: 12 }, () => 0));
  expect(one.length).toBe(0);
  expect(() => one.use(() => "x")).toThrow("a wiped secret was used");
  expect(() => one.equals(secret())).toThrow("a wiped secret was used");
  expect(() => one.wipe()).not.toThrow();
});

describe("equality", () => {
  test.each([
    ["the same bytes", "hunter2-prod", true],
    ["another last byte", "hunter2-proD", false],
    ["a beginning", "hunter2", false],
    ["nothing", "", false],
  ])("with %s", (_, other, expected) => {
    expect(secret().equals(Secret.of(other))).toBe(expected);
  });
});
