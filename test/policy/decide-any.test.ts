import { describe, expect, it } from "vitest";
import type { Ask } from "../../src/policy/decide.ts";
import { anyCommand, decideAny, decideEach } from "../../src/policy/decide-any.ts";
import { credential, made, named, policyOf, step } from "./by-hand.ts";
import { identityWith } from "./identities.ts";

const policy = policyOf([
  made("plain", { issuer: "github", repository_id: "1" }, { credentials: named(credential("cert")) }),
  made(
    "stepped",
    { issuer: "github", repository_id: "2" },
    {
      credentials: named(credential("cert")),
      steps: named(step("build", {}), step("ship", { run: ["./ship.sh"], credentials: ["cert"] })),
    },
  ),
]);

const ask = (repository: string, changes: Partial<Ask> = {}): Ask => ({
  identity: identityWith({ repository_id: repository }),
  template: undefined,
  step: undefined,
  command: [],
  now: 0,
  ...changes,
});

describe("where nobody runs anything", () => {
  it.each<[string, Ask, readonly string[]]>([
    ["any command stands in where none is pinned", ask("1"), anyCommand],
    ["a command that is named stays", ask("1", { command: ["sh"] }), ["sh"]],
    ["a pinned command stays", ask("2", { step: "ship" }), ["./ship.sh"]],
  ])("%s", (_, asked, command) => {
    expect(decideAny(policy, asked)).toMatchObject({ kind: "granted", command });
  });

  it("another command than the pinned one is denied all the same", () => {
    expect(decideAny(policy, ask("2", { step: "ship", command: ["sh"] }))).toMatchObject({ code: "step-command" });
  });

  it("a template's steps are asked one by one, where none is named", () => {
    expect(decideEach(policy, ask("2"))).toMatchObject([
      { kind: "granted", step: "build", command: anyCommand, credentials: [] },
      { kind: "granted", step: "ship", command: ["./ship.sh"], credentials: [{ name: "cert" }] },
    ]);
    expect(decideEach(policy, ask("2", { step: "ship" }))).toHaveLength(1);
    expect(decideEach(policy, ask("1"))).toMatchObject([{ kind: "granted", step: undefined }]);
    expect(decideEach(policy, ask("3"))).toMatchObject([{ kind: "denied", code: "no-match" }]);
  });
});
