import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { mayfly, type Ran } from "./shell.ts";

const folder = mkdtempSync(join(tmpdir(), "mayfly-expand-"));

const tree = {
  "bounds.yaml": 'version: 1\nowner: team-site\nmax_ttl: 1h\nwho: { repository_owner_id: "4242" }\n',
  "shop/bounds.yaml": "version: 1\nwhen: { days: mon-fri, zone: UTC }\n",
  "node.set.yaml": 'version: 1\nset: node\nrevision: "2026-11-20"\nhosts: ["*.mirror.example.com", "git.example.com:22"]\n',
  "base/deploy.yaml": `version: 1
template: base/deploy
when: { hours: "07:00-19:00", zone: Europe/Berlin }
credentials:
  db: { provider: vault-main, path: "database/creds/{each.db}" }
  client: { provider: broker, kind: x509, ttl: 15m }
steps:
  migrate: { run: [npm, run, migrate], credentials: [db], network: ["set:node", "db.example.com:5432"], workspace: read-only }
  ship: { run: [./ship.sh], credentials: [client] }
sandbox: { memory: 1GiB, timeout: 10m }
`,
  "shop/release.yaml": `version: 1
template: shop/release
extends: base/deploy
who: { issuer: github, repository_id: "519283746", trust: protected, environment: "{each.environment}" }
for_each: { staging: { environment: staging, db: shop-staging }, production: { environment: production, db: shop } }
credentials: { db: }
steps: { migrate: { workspace: read-only } }
sandbox: { memory: 512MiB }
`,
  "plain.yaml": `version: 1
template: plain
owner: team-shop
who: { issuer: github, repository_id: "7", trust: protected }
`,
};

beforeAll(() => {
  for (const [file, text] of Object.entries(tree)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
});

afterAll(() => rmSync(folder, { recursive: true }));

function expand(name: string, ...flags: readonly string[]): Promise<Ran> {
  return mayfly(["explain", name, "--expand", "--templates", folder, "--config", "deploy/mayfly.yaml", ...flags]);
}

describe("mayfly explain TEMPLATE --expand", () => {
  test("prints the final template, and where each line comes from that its author did not write", async () => {
    const { stdout, exit } = await expand("shop/release/staging");
    expect(exit).toBe(0);
    expect(
      stdout,
    ).toBe(`# shop/release/staging, from shop/release.yaml, entry staging of its for_each, on base/deploy of base/deploy.yaml, within bounds.yaml, shop/bounds.yaml

version: 1
template: shop/release/staging
owner: team-site # from the folder's bounds
who:
  # added by bounds.yaml
  - repository_owner_id: "4242"
  - issuer: github
    repository_id: "519283746"
    trust: protected
    environment: staging
when:
  # added by shop/bounds.yaml
  - days: mon-fri
    zone: UTC
  # from base/deploy.yaml
  - hours: 07:00-19:00
    zone: Europe/Berlin
credentials:
  # from base/deploy.yaml
  db:
    provider: vault-main
    path: database/creds/shop-staging
    ttl: 10m # left out, so this
steps:
  migrate:
    # from base/deploy.yaml
    run: [npm, run, migrate]
    # from base/deploy.yaml
    credentials: [db]
    # from base/deploy.yaml
    network:
      - "*.mirror.example.com:443" # set:node@2026-11-20
      - git.example.com:22 # set:node@2026-11-20
      - db.example.com:5432
    workspace: read-only
sandbox:
  # left out, so this
  env:
    pass: [CI]
  memory: 512MiB
  cpus: 2 # left out, so this
  pids: 512 # left out, so this
  timeout: 10m # from base/deploy.yaml
`);
  });

  test("of a name that for_each expands prints every template that comes of it, as JSON says the same", async () => {
    const [text, json] = await Promise.all([expand("shop/release"), expand("shop/release", "--json")]);
    const data: unknown = JSON.parse(json.stdout);
    const documents: readonly unknown[] = text.stdout.split("---\n").map((document): unknown => {
      const expanded: unknown = parse(document);
      return expanded;
    });
    expect(documents).toHaveLength(2);
    expect(data).toMatchObject({
      policy: expect.stringMatching(/^[0-9a-f]{64}$/),
      templates: [
        { template: "shop/release/production", file: "shop/release.yaml", expanded: documents[0] },
        { template: "shop/release/staging", file: "shop/release.yaml", expanded: documents[1] },
      ],
    });
  });

  test("marks what the bounds add to a template that has nothing but itself", async () => {
    const { stdout } = await expand("plain");
    expect(stdout).toContain("# plain, from plain.yaml, within bounds.yaml\n");
    expect(stdout).not.toContain("from base");
  });

  test("says a set's revision in one line, whatever it is", async () => {
    const elsewhere = join(folder, "../", `${basename(folder)}-revision`);
    mkdirSync(elsewhere);
    writeFileSync(
      join(elsewhere, "node.set.yaml"),
      'version: 1\nset: node\nrevision: "1\\e[2J\\nowner: x"\nhosts: [git.example.com]\n',
    );
    writeFileSync(join(elsewhere, "plain.yaml"), `${tree["plain.yaml"]}network: ["set:node"]\n`);
    const { stdout, stderr } = await expand("plain", "--templates", elsewhere);
    rmSync(elsewhere, { recursive: true });
    expect(`${stdout}${stderr}`).not.toMatch(/(?!\n)\p{Cc}|^\s*owner: x/mu);
  });

  const unknown: readonly (readonly [string, string, string, string])[] = [
    ["a name that is none", "shop/relase", 'mayfly: no template is called "shop/relase"', "hint: did you mean shop/release?"],
    [
      "a template that gives nothing by itself",
      "base/deploy",
      "mayfly: base/deploy has no who: it is there to be extended",
      "hint: it is extended by shop/release",
    ],
  ];
  test.each(unknown)("%s is refused, with what was meant", async (_, name, message, hint) => {
    const { stdout, stderr, exit } = await expand(name);
    expect([stdout, exit]).toEqual(["", 124]);
    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
  });
});
