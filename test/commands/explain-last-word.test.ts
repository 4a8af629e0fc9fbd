import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Code, codes } from "../../src/errors.ts";
import type { Event } from "../../src/ledger/entry.ts";
import { lastWordLine } from "../../src/policy/opa/last-word.ts";
import { claims, identity, openSite, peer, type Site } from "./recorded-site.ts";

/* A site whose templates grant, and whose last word refuses: whoever responds must not read "granted" last. */

const deploy = `version: 1
template: deploy
owner: team-shop
who: { issuer: github, repository_id: "42", trust: protected }
steps:
  look: { workspace: read-only }
`;

let site: Site;
let policy: string;

const denied = (denial: string, code: Code, parts: Partial<Extract<Event, { kind: "denied" }>>): Event => ({
  kind: "denied",
  denial,
  code,
  message: codes[code],
  peer,
  ...identity,
  claims,
  policy,
  trace: [],
  asked: "deploy",
  step: "look",
  lastWord: null,
  ...parts,
});

beforeAll(async () => {
  site = await openSite();
  policy = await site.inForce("now", { "deploy.yaml": deploy });
  const line = { line: lastWordLine, held: false, expected: "allow", found: "no releases today" };
  await site.door.ledger.append([
    denied("den-frozen", "overruled", { lastWord: "opa:7", trace: [{ template: "deploy", matched: true, lines: [line] }] }),
    denied("den-silent", "last-word-unavailable", {}),
  ]);
  await site.run({ run: "run-plain", policy, step: "look" });
});

afterAll(() => site[Symbol.asyncDispose]());

describe("explain ID, where the site has a last word", () => {
  test("of what it refused says its reason above, and apart from it what the templates alone would give", async () => {
    const { stdout, exit } = await site.here("explain", "den-frozen");
    expect(exit).toBe(0);
    expect(stdout).toMatch(
      /^denied: the site's last word refused.*\n {2}code {4}overruled\n {2}policy .*\n {2}last word {2}refused: "no releases today" {2}\(opa:7\)\n/,
    );
    expect(stdout).toContain("\nthe templates alone would give:\ngranted: ");
    expect(JSON.parse((await site.here("explain", "den-frozen", "--json")).stdout)).toMatchObject({
      lastWord: { said: "refused", reason: "no releases today", decision: "opa:7" },
      decision: { kind: "granted" },
    });
  });

  test("of what it did not answer says so", async () => {
    const { stdout } = await site.here("explain", "den-silent");
    expect(stdout).toContain("\n  last word  gave no answer\n");
    expect(stdout).toContain("\nthe templates alone would give:\ngranted: ");
  });

  test("of what it was not asked about says nothing of it", async () => {
    const { stdout } = await site.here("explain", "run-plain");
    expect(stdout).not.toContain("last word");
    expect(stdout).toContain("\ndecided again by the same policy:\ngranted: ");
    expect(JSON.parse((await site.here("explain", "run-plain", "--json")).stdout)).toMatchObject({ lastWord: null });
  });
});
