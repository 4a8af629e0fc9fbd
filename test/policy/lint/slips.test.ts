import { describe, expect, it } from "vitest";
import { compileTemplates } from "../../../src/policy/language/compile.ts";
import { rooms } from "./site.ts";

/** The rules that find something in one template: a good one with other lines in places. */
interface Lines {
  readonly who?: string;
  readonly aws?: string;
  readonly db?: string;
  readonly run?: string;
  readonly sandbox?: string;
  readonly more?: string;
}

function found({ who, aws, db, run, sandbox, more }: Lines): readonly string[] {
  const text = `# yaml-language-server: $schema=x
version: 1
template: deploy
owner: team-shop
who: { ${who ?? 'issuer: github, repository_id: "1", trust: protected'} }
credentials:
  aws: { provider: aws, ${aws ?? "role: arn:aws:iam::111122223333:role/ci"}, ttl: 10m }
  db: { provider: vault-main, path: database/creds/shop, ttl: 10m${db ?? ""} }
steps: { ship: { run: ${run ?? "[./ship.sh]"}, credentials: [aws, db], workspace: read-only } }
sandbox: { timeout: 10m${sandbox ?? ""} }
${more ?? ""}`;
  const compiled = compileTemplates([{ file: "t.yaml", text }], rooms);
  const problems = compiled.kind === "policy" ? compiled.findings : compiled.problems;
  return [...new Set(problems.map(({ rule, key }) => `${rule} ${key}`))];
}

const github = (lines: string): Lines => ({ who: `issuer: github, repository_id: "1", trust: protected, ${lines}` });
const statement = (lines: string): Lines => ({
  aws: `role: arn:aws:iam::111122223333:role/ci, policy: { Statement: [{ Effect: Allow, ${lines} }] }`,
});
const action = (name: string): Lines => statement(`Action: ["${name}"], Resource: ["arn:aws:s3:::shop/*"]`);
const resource = (name: string): Lines => statement(`Action: ["s3:PutObject"], Resource: ["${name}"]`);
const pass = (names: string): Lines => ({ sandbox: `, env: { pass: [${names}] }` });

it("in the good template there is nothing to find", () => {
  expect(found({})).toEqual([]);
});

describe("what is written oddly", () => {
  const odd = "lookalike-letters";
  it.each<[string, Lines, readonly string[]]>([
    [
      "a variation selector under not",
      github(String.raw`not: { environment: "production\uFE0F" }`),
      [`${odd} who.not.environment`],
    ],
    ["a joiner that nobody sees", github(String.raw`environment: "prod\u034Fuction"`), [`${odd} who.environment`]],
    ["a filler", github(String.raw`environment: "prod\uFFA0"`), [`${odd} who.environment`]],
    ["a letter drawn as a blank", github(String.raw`environment: "prod\u2800x"`), [`${odd} who.environment`]],
    ["a blank that does not break", github(String.raw`environment: "prod\u00A0eu"`), [`${odd} who.environment`]],
    ["mathematical letters", github(String.raw`environment: "\U0001D429rod"`), [`${odd} who.environment`]],
    ["a hyphen that is another", github(String.raw`environment: "prod\u2010eu"`), [`${odd} who.environment`]],
    ["a letter of another alphabet", github(String.raw`environment: "pr\u043Ed"`), [`${odd} who.environment`]],
    ["a blank before", github('environment: " prod"'), [`${odd} who.environment`]],
    ["a blank behind", github('not: { actor_id: "1 " }'), [`${odd} who.not.actor_id`]],
    ["a character that nobody sees in a command", { run: String.raw`["./dep\u200Bloy.sh"]` }, [`${odd} steps.ship.run.0`]],
    ["one in a role", { aws: String.raw`role: "arn:aws:iam::111122223333:role/c\u00ADi"` }, [`${odd} credentials.aws.role`]],
    [
      "text that turns round, in a reason",
      { more: String.raw`tolerate: { memory-limit: "these hosts \u202E have none" }` },
      [`${odd} tolerate.memory-limit`, "tolerates tolerate.memory-limit"],
    ],
    ["an environment in another language", github("environment: Прод"), []],
    ["an environment with letters of its own", github("environment: vorführung"), []],
    ["a command with lines, and an argument that is a blank", { run: String.raw`[cut, -d, " ", "a\nb\n"]` }, []],
    [
      "a reason in several lines",
      { more: 'tolerate: { memory-limit: "these hosts have none:\n  they never had" }' },
      ["tolerates tolerate.memory-limit"],
    ],
  ])("%s", (_, lines, expected) => {
    expect(found(lines).toSorted()).toEqual(expected.toSorted());
  });
});

describe("what is a pattern upstream", () => {
  it.each<[string, Lines, readonly string[]]>([
    ...["*", "*:*", "**", "s3:*", "s3:?*", "s3:**", "S3:*"].map((name): [string, Lines, readonly string[]] => [
      name,
      action(name),
      ["policy-any-action credentials.aws.policy.Statement.0.Action.0"],
    ]),
    ...["iam:PassRole", "iam:Pass?ole", "IAM:pass*", "*:PassRole", "iam:?assR*"].map(
      (name): [string, Lines, readonly string[]] => [
        name,
        action(name),
        ["policy-passes-role credentials.aws.policy.Statement.0.Action.0"],
      ],
    ),
    ...["sts:AssumeRole", "sts:*Role", "sts:Assume*", "sts:AssumeRoleWith?AML", "STS:assumeroot"].map(
      (name): [string, Lines, readonly string[]] => [
        name,
        action(name),
        ["policy-chains-roles credentials.aws.policy.Statement.0.Action.0"],
      ],
    ),
    ...["s3:Put*", "s3:*Object", "iam:GetRole", "sts:GetCallerIdentity", "iam:List*"].map(
      (name): [string, Lines, readonly string[]] => [name, action(name), []],
    ),
    ...["*", "**", "?*", "arn:aws:s3:::*", "arn:aws:s3:::*/*", "arn:*", "arn:aws:s3*", "arn:aws:ec2:*:*:*"].map(
      (name): [string, Lines, readonly string[]] => [
        name,
        resource(name),
        ["policy-any-resource credentials.aws.policy.Statement.0.Resource.0"],
      ],
    ),
    ...["arn:aws:s3:::shop/*", "arn:aws:s3:::shop-*", "arn:aws:ec2:*:111122223333:subnet/*"].map(
      (name): [string, Lines, readonly string[]] => [name, resource(name), []],
    ),
    ["a role of any name", { aws: 'role: "arn:aws:iam::111122223333:role/ci-*"' }, ["role-with-wildcard credentials.aws.role"]],
  ])("%s", (_, lines, expected) => {
    expect(found(lines)).toEqual(expected);
  });

  it("every action of the service whose actions hand roles on is both", () => {
    expect(found(action("iam:*")).map((problem) => problem.split(" ")[0])).toEqual(["policy-any-action", "policy-passes-role"]);
  });
});

describe("what a sandbox lets in", () => {
  const at = "sandbox.env.pass";
  it.each<[string, Lines, readonly string[]]>([
    ...[
      "GITHUB_RUNNER_TOKEN",
      "CI_COMMIT_SECRET",
      "DB_PASS",
      "SIGNING_KEY",
      "MYSQL_PWD",
      '"NPM_*"',
      '"DEPLOY_T*"',
      '"SHOP_*"',
    ].map((name): [string, Lines, readonly string[]] => [name, pass(name), [`passes-secret ${at}`]]),
    ...["CI", "GITHUB_RUN_ID", "CI_COMMIT_SHA", "PWD", "COMPASSES", '"GITHUB_*"', '"CI_*"', '"LC_*"'].map(
      (name): [string, Lines, readonly string[]] => [name, pass(name), []],
    ),
    ["what begins with a letter", pass('"S*"'), [`passes-widely ${at}`]],
    [
      "a secret for one trust",
      { sandbox: ", by_trust: { protected: { env: { pass: [DEPLOY_TOKEN] } } }" },
      ["passes-secret sandbox.by_trust.protected.env.pass"],
    ],
    [
      "a day for one trust",
      { sandbox: ", by_trust: { protected: { timeout: 24h } }" },
      [
        "dies-before-job credentials.aws.ttl",
        "dies-before-job credentials.db.ttl",
        "runs-for-hours sandbox.by_trust.protected.timeout",
      ],
    ],
    [
      "the same for all, said once",
      { sandbox: ", env: { pass: [DB_PASS] }, by_trust: { protected: { memory: 1GiB } }" },
      [`passes-secret ${at}`],
    ],
  ])("%s", (_, lines, expected) => {
    expect(found(lines).toSorted()).toEqual(expected.toSorted());
  });
});

describe("whom lines let in", () => {
  it.each<[string, Lines, readonly string[]]>([
    [
      "an id that is a name",
      { who: "issuer: github, repository_id: octo/shop, trust: protected" },
      ["id-is-a-name who.repository_id"],
    ],
    ["an event that is never protected", github("event_name: pull_request_target"), ["never-matches who.event_name"]],
    ["events that begin so, and are never protected", github('event_name: "pull_request*"'), ["never-matches who.event_name"]],
    [
      "an event that is no pull request",
      { who: 'issuer: github, repository_id: "1", trust: pull_request, event_name: push' },
      ["never-matches who.event_name", "untrusted-code who.trust"],
    ],
    [
      "alternatives whose events have their own trust each",
      {
        who: 'issuer: github, repository_id: "1", any: [{ trust: protected, event_name: push }, { trust: branch, event_name: schedule }]',
      },
      [],
    ],
    [
      "an alternative whose event has another trust",
      { who: 'issuer: github, repository_id: "1", trust: protected, any: [{ event_name: push }, { event_name: issues }]' },
      ["never-matches who.any.1.event_name"],
    ],
    ["an event of any name", github('event_name: "**"'), ["idle-line who.event_name"]],
    ["an excluded event that another glob spells", github('not: { event_name: ["pull_request*"] }'), []],
    ["one branch and another", github("ref: refs/heads/a, not: { ref: refs/heads/a }"), ["never-matches who"]],
    ["a blank behind a ref", github('ref: "refs/heads/main "'), ["lookalike-letters who.ref", "ref-shape who.ref"]],
  ])("%s", (_, lines, expected) => {
    expect(found(lines).toSorted()).toEqual(expected.toSorted());
  });

  const two = { who: 'issuer: [github, enterprise], repository_id: "1", trust: protected' };
  it.each<[string, Lines, readonly string[]]>([
    ["an id at two issuers", two, ["ids-of-two-issuers who.repository_id"]],
    [
      "an id at two issuers, in a slot",
      { ...two, aws: 'role: "arn:aws:iam::111122223333:role/{repository_id}"' },
      ["ids-of-two-issuers credentials.aws.role", "ids-of-two-issuers who.repository_id"],
    ],
    [
      "a name at two issuers",
      { who: 'issuer: [github, enterprise], repository_owner_id: "1", repository: a/b, trust: protected' },
      ["id-is-a-name who.repository", "ids-of-two-issuers who.repository", "ids-of-two-issuers who.repository_owner_id"],
    ],
  ])("%s", (_, lines, expected) => {
    expect(found(lines).toSorted()).toEqual(expected.toSorted());
  });
});

describe("claims of which a token may hold several values", () => {
  const gitlab = 'issuer: gitlab, project_id: "1", trust: protected';
  it.each<[string, Lines, readonly string[]]>([
    ["one group and another", { who: `${gitlab}, groups_direct: a, any: [{ groups_direct: b }]` }, []],
    ["one group and not another", { who: `${gitlab}, groups_direct: a, not: { groups_direct: b }` }, []],
    [
      "one group and not that one",
      { who: `${gitlab}, groups_direct: a, not: { groups_direct: [a, b] }` },
      ["never-matches who"],
    ],
    [
      "one environment and another",
      { who: `${gitlab}, environment: a, any: [{ environment: b }]` },
      ["never-matches who.any.0"],
    ],
    [
      "what nobody knows of a generic issuer",
      { who: "issuer: farm, project_id: a, trust: protected, roles: a, any: [{ roles: b }]" },
      [],
    ],
    [
      "its id, which is one",
      { who: "issuer: farm, project_id: a, trust: protected, any: [{ project_id: b }]" },
      ["never-matches who.any.0"],
    ],
  ])("%s", (_, lines, expected) => {
    expect(found(lines)).toEqual(expected);
  });
});

describe("credentials that wait for others", () => {
  it.each<[string, string, readonly string[]]>([
    ["for half of their life", ", wait: 6m", ["ages-while-waiting credentials.db.wait"]],
    ["for less", ", wait: 5m", []],
  ])("%s", (_, db, expected) => {
    expect(found({ db })).toEqual(expected);
  });
});
