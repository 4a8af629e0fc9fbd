import { describe, expect, test } from "vitest";
import { configSchema } from "../src/config.ts";
import { socketsOf } from "../src/privileges.ts";

const config = (sockets: object) => ({
  ...configSchema.parse({
    version: 1,
    issuers: { github: { preset: "github", audience: "https://mayfly.example" } },
    providers: { local: { type: "local" } },
    sockets,
  }),
  digest: "",
});

describe("whom a socket is for", () => {
  test("is looked up when the broker starts: names become numbers, numbers need no entry", () => {
    const written = {
      group: 61_000,
      broker: { group: 61_001, allow_uids: ["root", 61_042], allow_groups: ["daemon", 61_077] },
    };
    expect(socketsOf(config(written))).toEqual({
      folder: "/run/mayfly",
      group: 61_000,
      broker: { group: 61_001, allow: { uids: [0, 61_042], groups: [1, 61_077] } },
      audit: { group: "mayfly-auditors" },
      control: { group: "mayfly-responders" },
    });
  });

  test("is nobody by group where only users are written, and the other way round", () => {
    const { broker, audit } = socketsOf(config({ broker: { allow_uids: [7] }, audit: { allow_groups: [8] } }));
    expect([broker.allow, audit.allow]).toEqual([
      { uids: [7], groups: [] },
      { uids: [], groups: [8] },
    ]);
  });

  test.each([
    ["user", { broker: { allow_uids: ["no-such-name"] } }, "this host has no user named no-such-name"],
    ["group", { control: { allow_groups: ["no-such-name"] } }, "this host has no group named no-such-name"],
  ])("stops the broker where it names a %s that this host does not have", (_, sockets, message) => {
    expect(() => socketsOf(config(sockets))).toThrow(expect.objectContaining({ code: "config-invalid", message }));
  });
});
