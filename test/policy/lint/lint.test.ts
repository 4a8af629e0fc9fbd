import { describe, expect, it } from "vitest";
import { compileTemplates } from "../../../src/policy/language/compile.ts";
import { rooms } from "./site.ts";

const head = (name: string, lines = "") =>
  `# yaml-language-server: $schema=x\nversion: 1\ntemplate: ${name}\nowner: team-shop\n${lines}`;
const gives = "credentials:\n  db: { provider: vault-main, path: database/creds/shop, ttl: 10m }\nsandbox: { timeout: 10m }\n";
const job = (lines: string) => `who: { issuer: github, trust: protected, ${lines} }\n`;

function found(...texts: readonly string[]): readonly string[] {
  const compiled = compileTemplates(
    texts.map((text, index) => ({ file: `t${index}.yaml`, text })),
    rooms,
  );
  const problems = compiled.kind === "policy" ? compiled.findings : compiled.problems;
  return problems.map(({ file, line, rule }) => `${file}:${line} ${rule}`);
}

const alone = (name: string, lines: string) => head(name, job(lines));

describe("which templates could match one job", () => {
  it.each<[string, string, string, boolean]>([
    ["two repositories", 'repository_id: "1"', 'repository_id: "2"', false],
    ["the same repository", 'repository_id: "1"', 'repository_id: ["2", "1"]', true],
    ["a branch and another", 'repository_id: "1", ref: refs/heads/a', 'repository_id: "1", ref: refs/heads/b', false],
    [
      "a branch and a glob that takes it",
      'repository_id: "1", ref: refs/heads/a',
      'repository_id: "1", ref: "refs/heads/*"',
      true,
    ],
    [
      "two globs that begin otherwise",
      'repository_id: "1", ref: "refs/heads/a/*"',
      'repository_id: "1", ref: "refs/tags/*"',
      false,
    ],
    ["an environment and none", 'repository_id: "1", environment: a', 'repository_id: "1", absent: environment', false],
    [
      "an environment and not that one",
      'repository_id: "1", environment: a',
      'repository_id: "1", not: { environment: [a, b] }',
      false,
    ],
    [
      "an environment and not another",
      'repository_id: "1", environment: a',
      'repository_id: "1", not: { environment: b }',
      true,
    ],
    ["an owner and one of its repositories", 'repository_owner_id: "9"', 'repository_id: "1"', true],
    [
      "alternatives that share nothing",
      'repository_id: "1", any: [{ ref: refs/heads/a }, { ref: refs/heads/b }]',
      'repository_id: "1", ref: refs/heads/c',
      false,
    ],
    [
      "alternatives of which one is the same",
      'repository_id: "1", any: [{ ref: refs/heads/a }, { ref: refs/heads/b }]',
      'repository_id: "1", ref: refs/heads/b',
      true,
    ],
  ])("%s", (_, one, other, overlap) => {
    expect(found(alone("a", one), alone("b", other))).toEqual(overlap ? ["t1.yaml:5 overlap"] : []);
    expect(found(alone("b", one), alone("a", other))).toEqual(overlap ? ["t0.yaml:5 overlap"] : []);
  });

  it("is found among many that share an owner, and each is told of a few others only", () => {
    const many = Array.from({ length: 60 }, (_, index) =>
      alone(`t${String(index).padStart(2, "0")}`, `repository_owner_id: "9", repository_id: "${index % 30}"`),
    );
    expect(found(...many)).toEqual(Array.from({ length: 30 }, (_, index) => `t${index + 30}.yaml:5 overlap`));
    const crowd = Array.from({ length: 300 }, (_, index) => alone(`t${index}`, 'repository_id: "1"'));
    expect(found(...crowd)).toHaveLength(299);
  });
});

describe("how much is compared", () => {
  const entries = (count: number, line: (index: number) => string) =>
    `for_each:\n${Array.from({ length: count }, (_, index) => `  e${index}: { ${line(index)} }\n`).join("")}`;
  const each = (who: string, count: number) =>
    head("deploy", `${job(`repository_id: "1", ${who}`)}${entries(count, (index) => `place: p${index}`)}${gives}`).replace(
      "database/creds/shop",
      '"database/creds/{each.place}"',
    );

  it("does not depend on other files: entries that are alike are found, however many templates the same job can match", () => {
    const crowd = Array.from({ length: 4 }, (_, index) => alone(`a${index}`, 'repository_id: "1"'));
    const alike = each("ref: refs/heads/main", 2);
    expect(found(...crowd, alike)).toContain("t4.yaml:6 each-alike");
    expect(found(...crowd, alike)).toContain("t4.yaml:5 overlap");
    expect(found(...crowd, each('environment: "{each.place}"', 2))).not.toContain("t4.yaml:6 each-alike");
  });

  const alternatives = (of: (index: number) => string) =>
    `any: [${Array.from({ length: 32 }, (_, index) => of(index)).join(", ")}]`;

  it("is little where entries say whom they are for, in each of many alternatives", () => {
    const began = process.cpuUsage();
    expect(
      found(
        each(
          alternatives((index) => `{ ref: refs/heads/r${index}, environment: "{each.place}" }`),
          100,
        ),
      ),
    ).toEqual([]);
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(4_000);
  });

  it("has an end, and what was not compared is said: as a risk of entries, and once as advice of other templates", () => {
    const mixed = (place: string) =>
      alternatives((index) =>
        index % 2 === 0 ? `{ ref: "refs/heads/${place}-${index}/*" }` : `{ ref: "refs/tags/${place}-${index}/*" }`,
      );
    const began = process.cpuUsage();
    expect(found(each(mixed("{each.place}"), 100))).toEqual(["t0.yaml:6 each-alike"]);
    const others = Array.from({ length: 100 }, (_, index) => alone(`b${index}`, `repository_id: "1", ${mixed(`p${index}`)}`));
    expect(found(...others)).toEqual([expect.stringMatching(/^t\d+\.yaml:5 overlap$/)]);
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(8_000);
  });
});

describe("findings", () => {
  const each = "for_each:\n  a: { place: a }\n  b: { place: b }\n";

  it("are said once for all entries of a for_each", () => {
    const text = head("deploy", `who: { issuer: github, repository_id: "1", environment: "{each.place}" }\n${each}${gives}`);
    expect(found(text)).toEqual(["t0.yaml:5 trust-missing"]);
  });

  it("are taken by their rule's name alone, and an error by no name", () => {
    const untrusted = head("deploy", `who: { issuer: github, repository_id: "1", event_name: push }\n${gives}`);
    expect(found(untrusted)).toEqual(["t0.yaml:5 trust-missing"]);
    expect(found(`${untrusted}accept: { trust-missing: every branch may do this }\n`)).toEqual([]);
    expect(found(`${untrusted}accept: { owner-wide: every branch may do this }\n`)).toEqual([
      "t0.yaml:5 trust-missing",
      "t0.yaml:9 accept-idle",
    ]);
    const never = head("deploy", job('repository_id: "1", ref: main'));
    expect(found(`${never}accept: { ref-shape: it has always been so }\n`)).toEqual([
      "t0.yaml:5 ref-shape",
      "t0.yaml:6 accept-unknown",
    ]);
  });

  it("of a base are its children's, in the file where the line stands", () => {
    const base = head(
      "base",
      gives.replace("10m }\nsandbox", "10m }\n  old: { provider: vault-main, path: secret/data/x }\nsandbox"),
    );
    const child = head("child", `extends: base\n${job('repository_id: "1"')}`);
    expect(found(base, child)).toEqual(["t0.yaml:7 static-secret"]);
  });

  it("depend on the day only where it is told", () => {
    const observed = head("deploy", `${job('repository_id: "1"')}observe: { parts: [limits], until: 2026-01-01 }\n`);
    expect(found(observed)).toEqual(["t0.yaml:6 observe-past"]);
    const { now: _, ...timeless } = rooms;
    expect(compileTemplates([{ file: "t.yaml", text: observed }], timeless)).toMatchObject({ kind: "policy", findings: [] });
  });
});
