import { describe, expect, test } from "vitest";
import { BrokerError } from "../src/errors.ts";
import { createLog, type Log, maskedLine } from "../src/log.ts";
import type { MaskSet } from "../src/masking/masker.ts";
import { Secret } from "../src/secret.ts";
import { systemClock } from "../src/time.ts";

function logged(write: (log: Log) => void): string {
  const lines: string[] = [];
  write(
    createLog({ level: "info", destination: { write: (line) => lines.push(line) }, clock: { ...systemClock, now: () => 0 } }),
  );
  return lines.join("");
}

const token = "hvs.CAESIJ-a-live-token";

/** The shape of an HTTP client's error: it prints its request when it is turned into JSON. */
class ClientError extends Error {
  readonly config = { headers: { "X-Vault-Token": token }, data: '{"password":"upstream"}' };
  readonly code = "ECONNREFUSED";

  toJSON(): object {
    return { message: this.message, config: this.config };
  }
}

test("a line is one JSON object with its level, time, fields and message", () => {
  const line = logged((log) => log.info({ lease: "l1" }, "a lease was issued"));
  expect(line).toBe('{"level":"info","time":"1970-01-01T00:00:00.000Z","lease":"l1","msg":"a lease was issued"}\n');
});

test("lines below the level are not written", () => {
  expect(logged((log) => log.debug({}, "nothing"))).toBe("");
});

test("an error gives its code, detail and cause, at any depth", () => {
  const cause = new BrokerError("provider-refused", "it said no", { detail: "permission denied on database/creds/x" });
  const error = new BrokerError("internal", undefined, { cause });
  const { err } = JSON.parse(logged((log) => log.error({ err: error }, "failed"))) as {
    err: { code: string; cause: { code: string; detail: string } };
  };
  expect(err.code).toBe("internal");
  expect(err.cause).toMatchObject({
    code: "provider-refused",
    message: "it said no",
    detail: "permission denied on database/creds/x",
  });
});

test.each<[string, Error, boolean]>([
  ["what we foresaw", new BrokerError("no-match"), false],
  ["what we did not", new BrokerError("internal"), true],
  ["what others threw", new Error("x"), true],
])("of %s, the place in the code is told where it helps: %s %s", (_, err, told) => {
  const line: unknown = JSON.parse(logged((log) => log.info({ err }, "m")));
  expect(line).toMatchObject({ err: { message: err.message } });
  expect(JSON.stringify(line).includes("log.test.ts")).toBe(told);
});

describe("nothing of a secret is written", () => {
  test.each<[string, (log: Log) => void]>([
    ["a Secret among the fields", (log) => log.info({ material: { token: Secret.of(token) } }, "m")],
    ["a client's error as err", (log) => log.error({ err: new ClientError("connect failed") }, "m")],
    ["a client's error under another name", (log) => log.error({ problem: new ClientError("connect failed") }, "m")],
    ["a client's error as the fields themselves", (log) => log.error(new ClientError("connect failed"), "m")],
    ["a client's error as a cause", (log) => log.error({ err: new Error("outer", { cause: new ClientError("c") }) }, "m")],
    ["a client's error within a list of errors", (log) => log.error({ err: new AggregateError([new ClientError("c")]) }, "m")],
  ])("%s", (_, write) => {
    const line = logged(write);
    expect(line).not.toMatch(/CAESIJ|upstream|X-Vault-Token/);
    expect(line).toContain('"msg":"m"');
  });

  test("bytes give their count, not their numbers", () => {
    expect(logged((log) => log.info({ bytes: Buffer.from("abcdef") }, "m"))).toContain('"bytes":"[6 bytes]","msg"');
  });

  test("a line that cannot be masked is withheld, and its writer goes on", () => {
    const broken: MaskSet = {
      add: () => undefined,
      wipe: () => undefined,
      masker: () => {
        throw new Error("broken");
      },
    };
    expect(maskedLine(`{"msg":"${token}"}\n`, new Set([broken]))).toBe(
      '{"level":"error","msg":"a line of this log was withheld: it could not be masked"}\n',
    );
  });

  test.each([
    ["in a message", token],
    ["in base64", Buffer.from(`user:${token}`).toString("base64")],
    ["in a URL", encodeURIComponent(`${token}/`)],
  ])("a live lease's value %s is hidden, until the lease has ended", (_, text) => {
    const lines = logged((log) => {
      const hiding = log.hiding([Secret.of(token), Secret.of("another-value"), Secret.of("short")]);
      log.info({ text }, `tried ${text} and another-value`);
      hiding[Symbol.dispose]();
      log.info({}, "after: another-value");
    });
    expect(lines).not.toContain(text);
    expect(lines).toContain(" and ***");
    expect(lines).toContain("after: another-value");
  });
});
