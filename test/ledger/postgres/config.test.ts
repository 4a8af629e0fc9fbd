import { describe, expect, test } from "vitest";
import { needsTls, sharedSchema } from "../../../src/ledger/postgres/config.ts";

const common = { host: "db.example.com", database: "mayfly", user: "mayfly_host_1", password_file: "/etc/mayfly/postgres" };

describe("the shared store in mayfly.yaml", () => {
  test.each<[string, object, boolean]>([
    ["a host of the network", {}, true],
    ["one whose authority is named", { ca: "/etc/mayfly/postgres-ca.pem", tls: "required" }, true],
    ["a loopback name", { host: "localhost" }, true],
    ["a loopback name without TLS", { host: "localhost", tls: "off" }, false],
    ["a loopback address without TLS", { host: "127.8.0.1", tls: "off" }, false],
    ["the other loopback address without TLS", { host: "::1", tls: "off" }, false],
    ["a Unix socket", { host: "/run/postgresql" }, false],
    ["a Unix socket that asks for no password", { host: "/run/postgresql", password_file: undefined }, false],
  ])("may be %s", (_, parts, tls) => {
    const { postgres } = sharedSchema.parse({ postgres: { ...common, ...parts } });
    expect(postgres.port).toBe(5432);
    expect(needsTls(postgres)).toBe(tls);
  });

  test.each<[string, object, string]>([
    [
      "without TLS over a network",
      { tls: "off" },
      "tls: may only be off where the host is a loopback address or a Unix socket",
    ],
    ["without TLS to a name that only looks local", { host: "127.evil.example", tls: "off" }, "tls: may only be off"],
    ["without TLS to an address that only looks local", { host: "128.0.0.1", tls: "off" }, "tls: may only be off"],
    ["with TLS on a Unix socket", { host: "/run/postgresql", tls: "required" }, "tls: is of no use on a Unix socket"],
    ["with an authority, but without TLS", { host: "localhost", tls: "off", ca: "/ca.pem" }, "ca: is of no use without TLS"],
    [
      "without a password over a network",
      { password_file: undefined },
      "password_file: is needed unless the host is a Unix socket",
    ],
    ["with a password in the file", { password: "x" }, 'Unrecognized key: "password"'],
    ["with a relative path", { password_file: "postgres" }, "password_file: write an absolute path"],
    ["with a mode of TLS that trusts anybody", { tls: "prefer" }, "tls: Invalid option"],
    ["with a URL", { url: "postgres://x" }, 'Unrecognized key: "url"'],
  ])("is refused %s", (_, parts, problem) => {
    const parsed = sharedSchema.safeParse({ postgres: { ...common, ...parts } });
    const problems = parsed.error?.issues.map(({ path, message }) =>
      [path.slice(1).join("."), message].filter(Boolean).join(": "),
    );
    expect(problems?.join("; ")).toContain(problem);
  });
});
