import { describe, expect, it } from "vitest";
import { anyCommand } from "../../src/policy/decide-any.ts";
import { explained, explainLines, traceLines, type Words } from "../../src/policy/explain.ts";
import type { Decision, Denial, Grant } from "../../src/policy/grant.ts";
import { identityWith } from "./identities.ts";

const words: Words<unknown, unknown> = { delivery: () => "username as user", isolation: () => "memory 2GiB" };
const explainText = (decision: Decision<unknown, unknown>): string => explainLines(decision, words).join("\n");
const traceText = (...of: Parameters<typeof traceLines>): string => traceLines(...of).join("\n");

const grant: Grant<unknown, unknown> = {
  kind: "granted",
  template: "deploy",
  policy: "abc",
  step: "ship",
  reason: "template deploy matched on issuer, repository_id",
  identity: identityWith({ repository_id: "1" }),
  credentials: [
    {
      name: "db",
      provider: "vault-main",
      options: {
        path: "database/creds/prod",
        owner: "team shop",
        policies: ["a", "b"],
        names: ["a, b"],
        none: [],
        policy: { Action: "s3:PutObject" },
        left: undefined,
      },
      ttl: 600_000,
      deliver: { files: { user: "username" } },
      wait: 30_000,
      optional: true,
    },
  ],
  command: ["npm", "run x"],
  workspace: "rw",
  network: [
    { host: "db.example.com", port: 5432, from: undefined },
    { host: "*.mirror.example.com", port: 443, from: "set:node" },
    { host: "2001:db8::1", port: 443, from: "credentials" },
  ],
  isolation: { memory: "2GiB" },
  observe: undefined,
};

const denial: Denial = {
  kind: "denied",
  code: "claim-mismatch",
  message: 'repository_id of this job is "2", which template deploy does not accept',
  policy: "abc",
  trace: [
    {
      template: "deploy",
      matched: false,
      lines: [
        { line: "issuer", held: true, expected: '"github"', found: '"github"' },
        { line: "repository_id", held: false, expected: '"1"', found: '"2"' },
      ],
    },
  ],
};

describe("explaining", () => {
  it("a grant says where the job's own token is what goes upstream", () => {
    const [credential] = grant.credentials;
    const lines = (as: { readonly as?: "job" }) =>
      explainText({ ...grant, credentials: credential === undefined ? [] : [{ ...credential, ...as }] });
    const said = "    proof    the job's own token: whoever holds it can have the same upstream, without this broker";
    expect(lines({ as: "job" })).toContain(said);
    expect(lines({})).not.toContain("proof");
  });

  it("a denial shows each line, what it wants and what it found", () => {
    expect(explainText(denial)).toBe(
      [
        'denied: repository_id of this job is "2", which template deploy does not accept',
        "  code    claim-mismatch",
        "  policy  abc",
        "template deploy: does not match",
        '  yes  issuer         wants "github"  found "github"',
        '  NO   repository_id  wants "1"  found "2"',
      ].join("\n"),
    );
    expect(explained(denial)).toEqual(denial);
  });

  it("a grant shows what the job gets, where it may go, and where each of that comes from", () => {
    expect(explainText(grant)).toBe(
      [
        "granted: template deploy matched on issuer, repository_id",
        "  policy     abc",
        "  template   deploy, step ship",
        '  command    "npm" "run x"',
        "  workspace  rw",
        "  credential db from vault-main, for 10m",
        "    scope    path database/creds/prod",
        '             owner "team shop"',
        "             policies a, b",
        '             names ["a, b"]',
        "             none []",
        '             policy {"Action":"s3:PutObject"}',
        "    deliver  username as user",
        "    if down  waits 30s for its provider, then goes on without it",
        "  network    db.example.com:5432",
        "             *.mirror.example.com:443 (from set:node)",
        "             [2001:db8::1]:443 (from credentials)",
        "  sandbox    memory 2GiB",
      ].join("\n"),
    );
  });

  it.each<[string, Partial<Grant<unknown, unknown>>, string]>([
    ["no credentials", { credentials: [] }, "\n  no credentials\n"],
    ["any command", { command: anyCommand }, "\n  command    any (the step pins none)\n"],
    ["any command of a template", { command: anyCommand, step: undefined }, "\n  command    any (the template pins none)\n"],
    ["a command that is only called so", { command: [...anyCommand] }, '\n  command    "any-command"\n'],
    ["no network", { network: [] }, "\n  network    none\n"],
    [
      "what is only observed",
      { observe: { parts: ["network", "limits"], until: Date.parse("2027-02-01T00:00:00Z") } },
      "\n  observe    network and limits: recorded and not enforced until 2027-02-01T00:00:00.000Z",
    ],
    [
      "a network that lets everything through while it is observed",
      { network: [], observe: { parts: ["network"], until: 0 } },
      "\n  network    nothing is listed, and anything is let through while observed\n",
    ],
  ])("%s is said", (_, changes, text) => {
    expect(explainText({ ...grant, ...changes })).toContain(text);
  });

  it.each<[number, boolean, string | undefined]>([
    [0, false, undefined],
    [5_000, false, "    if down  waits 5s for its provider, then is refused"],
    [0, true, "    if down  goes on without it"],
  ])("a credential that is waited for %i ms, optional: %s", (wait, optional, line) => {
    const credentials = grant.credentials.map((credential) => ({ ...credential, wait, optional }));
    expect(
      explainText({ ...grant, credentials })
        .split("\n")
        .find((text) => text.startsWith("    if down")),
    ).toBe(line);
  });

  it("a template that is for this identity, at another time", () => {
    const when = { line: "when", held: false, expected: "mon 07:00-19:00 UTC", found: "sun 07:00 UTC" };
    expect(traceText({ template: "t", matched: false, lines: [when] })).toBe(
      "template t: matches, but not at this time\n  NO   when  wants mon 07:00-19:00 UTC  found sun 07:00 UTC",
    );
  });

  it("a grant as JSON has no claims, loses nothing on the way, and says when an observation ends", () => {
    const observe = { parts: ["limits"], until: 0 } as const;
    const json = explained({ ...grant, step: undefined, observe });
    expect(JSON.parse(JSON.stringify(json))).toEqual(json);
    expect(json).toMatchObject({
      kind: "granted",
      step: null,
      identity: { workload: "github:519283746" },
      network: [{ from: null }, { from: "set:node" }, { host: "2001:db8::1" }],
      observe: { parts: ["limits"], until: "1970-01-01T00:00:00.000Z" },
    });
    expect(explained({ ...grant, command: anyCommand })).toMatchObject({ command: null });
    expect(JSON.stringify(json)).not.toContain('"claims"');
  });
});
