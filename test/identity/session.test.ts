import { createHash, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import { bare } from "../../src/identity/bare.ts";
import type { Claim, Identity } from "../../src/identity/identity.ts";
import { digestOf, newHandle, parseIdentity, serialiseIdentity } from "../../src/identity/session.ts";
import { Secret } from "../../src/secret.ts";

const identity: Identity = {
  issuer: "github",
  subject: "repo:o/r",
  workload: "github:1",
  job: "github:1:2",
  trust: "protected",
  claims: bare<Claim>([
    ["ref", "refs/heads/main"],
    ["runner_id", 7],
    ["ssh", false],
    ["groups", ["a", "b"]],
    ["toString", "mine"],
  ]),
  token: { key: "jti:a:b", expiresAt: 1_790_000_300_000 },
};

describe("a session's handle", () => {
  it("is mfs_ and 32 random bytes", () => {
    const handle = newHandle((bytes) => Buffer.alloc(bytes, 0xff));
    expect(handle.use(String)).toBe(`mfs_${"_".repeat(42)}8`);
    expect(String(handle)).toBe("[secret]");
  });

  it("is known to the ledger by its SHA-256", () => {
    const handle = newHandle(randomBytes);
    expect(digestOf(handle)).toBe(handle.use((bytes) => createHash("sha256").update(bytes).digest("hex")));
  });

  it.each([
    "",
    "mfs_",
    `mfs_${"a".repeat(42)}`,
    `mfs_${"a".repeat(44)}`,
    ` mfs_${"a".repeat(43)}`,
    `mfs_${"a".repeat(42)}=`,
    "a".repeat(1e6),
  ])("%.50s is none", (text) => {
    expect(() => digestOf(Secret.of(text))).toThrow(new BrokerError("session-unknown"));
  });
});

describe("a session's identity", () => {
  it("comes back as it was, its claims without a prototype", () => {
    const again = parseIdentity(serialiseIdentity(identity));
    expect(again).toEqual(identity);
    expect(Object.getPrototypeOf(again.claims)).toBeNull();
  });

  it.each<[string, string]>([
    ["nothing", ""],
    ["text that is cut", serialiseIdentity(identity).slice(0, -1)],
    ["another trust", serialiseIdentity(identity).replace('"protected"', '"root"')],
    ["a claim that is an object", serialiseIdentity(identity).replace("false", "{}")],
    ["a field too many", serialiseIdentity(identity).replace("{", '{"admin":true,')],
    ["no subject", serialiseIdentity(identity).replace('"subject":"repo:o/r",', "")],
  ])("%s is a broken ledger", (_, text) => {
    expect(() => parseIdentity(text)).toThrow(new BrokerError("ledger-corrupt", "a session's identity cannot be read"));
  });
});
