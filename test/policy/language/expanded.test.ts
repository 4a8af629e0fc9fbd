import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { compileTemplates } from "../../../src/policy/language/compile.ts";
import type { Endpoint } from "../../../src/policy/network.ts";
import type { Template } from "../../../src/policy/policy.ts";
import { problemText } from "../../../src/policy/problem.ts";
import { goodTemplates, rooms as siteRooms } from "../lint/site.ts";
import { policyOfTree, type Tree, template, trusted } from "../rooms.ts";

/** Each with one thing of the language that an expansion must write out. */
const trees: Readonly<Record<string, Tree>> = {
  "the least there can be": { "t.yaml": template(trusted) },
  everything: {
    "t.yaml": template(`owner: team-shop
who:
  issuer: github
  repository_id: "519283746"
  trust: protected
  ref: [refs/heads/main, "refs/tags/**"]
  not: { event_name: [pull_request_target, workflow_run] }
  absent: [head_ref]
  any: [{ environment: "no", actor_id: "0x10" }, { environment: "1e3", absent: actor_id }]
when: { days: [mon, fri-sun], hours: "22:00-06:00", zone: Europe/Berlin }
max_ttl: 20m
credentials:
  cert: { provider: local, commonName: "ci-{repository_id}" }
  db: { provider: vault-main, path: "database/creds/{repository_id}", ttl: 90s, wait: 30s, optional: true, deliver: { files: { user: username } } }
steps:
  build: { network: [a.example.com, "[2001:db8::7]:22", set:node], workspace: overlay }
  ship: { run: ["", "a b", "--{x}", "#", "no"], credentials: [db, cert], workspace: read-only }
sandbox: { memory: 2GiB, env: { pass: [CI, "GITHUB_REF"] }, by_trust: { protected: { memory: 1GiB } } }
observe: { parts: [limits], until: "2027-01-31" }
tolerate: { no-swap: "the build host has swap" }
accept: { owner-wide: "the id is the shop's own: \\"yes\\"" }`),
    "node.set.yaml": 'version: 1\nset: node\nrevision: "1"\nhosts: ["*.mirror.example.com", a.example.com]\n',
  },
  "no steps, a list of who, bounds in two folders": {
    "shop/eu/t.yaml": template(
      `who: [{ repository_id: "1" }, { trust: protected, ref: refs/heads/main }]\ncredentials: { db: { provider: vault-main, path: kv/x } }\nnetwork: [credentials]`,
      "shop/eu/t",
    ),
    "bounds.yaml": "version: 1\nowner: site\nwho: { issuer: github }\nwhen: { days: mon-fri, zone: UTC }\nmax_ttl: 3m\n",
    "shop/bounds.yaml": 'version: 1\nwhen: { hours: "07:00-19:00", zone: UTC }\n',
  },
  "a base, each of a for_each, and what it leaves out": {
    "base.yaml": template(
      'who: { issuer: github, repository_id: "1", trust: protected }\ncredentials:\n  a: { provider: local }\n  b: { provider: vault-main, path: kv/x }\nsteps:\n  s: { credentials: [a], workspace: read-only, run: [sign] }\n  t: { credentials: [b], workspace: read-only, run: [read] }\nsandbox: { memory: 4GiB }',
      "base",
    ),
    "t.yaml": template(
      'extends: base\nfor_each: { eu: { env: eu, size: "1" }, us: { env: us, size: "2" } }\nwho: { environment: "{each.env}", repository_id: "1" }\ncredentials: { a: { ttl: 1m } }\nsteps: { s: }\nsandbox: { memory: "{each.size}GiB", by_trust: { protected: { memory: 1GiB } } }\nmax_ttl: 5m',
    ),
  },
};

type Loose = Template<unknown, unknown>;

const without = (endpoints: readonly Endpoint[]) => endpoints.map(({ host, port }) => ({ host, port }));

/** All that decides. Where it stood, and where an endpoint came from, is lost. */
function meaning({ file: _file, expanded: _expanded, network, steps, ...rest }: Loose): unknown {
  return {
    ...rest,
    network: without(network),
    steps: [...steps.values()].map((step) => ({ ...step, network: without(step.network) })),
  };
}

describe("a template's expansion, written as YAML alone in a folder", () => {
  it.each(Object.entries(trees))("is the same template: %s", (_, tree) => {
    for (const found of policyOfTree(tree).templates.values()) {
      const again = policyOfTree({ "alone.yaml": stringify(found.expanded) }).templates.get(found.name);
      expect(again && meaning(again)).toEqual(meaning(found));
      expect(again?.expanded).toEqual(found.expanded);
    }
  });

  it("names no base, variable, set or bound any more, and every life", () => {
    for (const tree of Object.values(trees))
      for (const { expanded, credentials } of policyOfTree(tree).templates.values()) {
        expect(Object.keys(expanded)).not.toContain("extends");
        expect(stringify(expanded)).not.toMatch(/for_each|each\.|set:|network: \[?\s*credentials/);
        expect(stringify(expanded).match(/ttl: \d+(?:ms|s|m|h)$/gm) ?? []).toHaveLength(credentials.size);
      }
  });

  it("says what a job gets of the host, what the template leaves out too", () => {
    const lines = "sandbox: { cpus: 1, by_trust: { fork: { memory: 256MiB } } }";
    const compiled = compileTemplates([{ file: "a.yaml", text: template(`${trusted}\n${lines}`, "a") }], siteRooms);
    const found = compiled.kind === "policy" ? compiled.policy.templates.get("a") : undefined;
    expect(found?.expanded["sandbox"]).toEqual({
      env: { pass: ["CI"] },
      memory: "2GiB",
      cpus: 1,
      pids: 512,
      timeout: "30m",
      by_trust: { fork: { memory: "256MiB" } },
    });
  });

  it("is the same for the templates that the rules find nothing in, with the broker's own rooms", () => {
    const set = { file: "node.set.yaml", text: readFileSync(`${import.meta.dirname}/../lint/node.set.yaml`, "utf8") };
    const sources = goodTemplates.map((file) => ({ file: basename(file), text: readFileSync(file, "utf8") }));
    const whole = compileTemplates([...sources, set], siteRooms);
    if (whole.kind === "problems") throw new Error(whole.problems.map(problemText).join("\n"));
    expect(whole.policy.templates.size).toBeGreaterThan(20);
    for (const found of whole.policy.templates.values()) {
      const alone = compileTemplates([{ file: "alone.yaml", text: stringify(found.expanded) }], siteRooms);
      if (alone.kind === "problems") throw new Error(alone.problems.map(problemText).join("\n"));
      const again = alone.policy.templates.get(found.name);
      expect(again && meaning(again)).toEqual(meaning(found));
    }
  });
});
