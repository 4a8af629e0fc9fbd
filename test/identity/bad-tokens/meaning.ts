import { githubClaims, headerOf } from "../issuer.ts";
import { type BadToken, bad } from "./bad-token.ts";
import { type Changes, genericToken, githubToken, issuers, keys, signedBy, without } from "./makers.ts";

/** What the good tokens are granted by; ids decide, names are labels. */
export const templates: Readonly<Record<string, string>> = {
  deploy: `version: 1
template: deploy
who:
  issuer: github
  repository_id: "456789"
  repository_owner_id: "123456"
  ref: refs/heads/main
  ref_type: branch
  environment: prod
  event_name: [push, workflow_dispatch]
  runner_environment: self-hosted
  job_workflow_ref: "octo-org/octo-repo/.github/workflows/*@refs/heads/main"
  actor_id: ["12", "13"]
  trust: protected
`,
  // By names besides: a glob stays within its segment.
  named: `version: 1
template: named
who: { issuer: enterprise, repository_owner_id: "123456", repository: "octo-org/octo-*", repository_owner: octo-org, ref: "refs/heads/release/**", trust: protected }
`,
  access: `version: 1
template: access
who: { issuer: generic, project: "20", trust: protected }
`,
  weak: `version: 1
template: weak
who: { issuer: poisoned, project: "20" }
`,
};

const byName = "repo:octo-org/octo-repo:environment:prod";
const github = (name: string, changes: Changes) => [name, () => githubToken(changes)] as const;
const enterprise = (name: string, changes: Changes) => [name, () => enterpriseToken(changes)] as const;

/** Good for the template `named`, as long as nothing of it is changed. */
export function enterpriseToken(changes: Changes = {}): string {
  const claims = githubClaims(issuers.enterprise, { ref: "refs/heads/release/1.4", environment: undefined, ...changes });
  return signedBy(keys.enterprise, headerOf(keys.enterprise), claims);
}

export const meaningTokens: readonly BadToken[] = [
  // The ids in GitHub's immutable subject are still those of the good job.
  ...bad("J-22", "token-claim", [
    github("the same name, another repository_id, its subject kept", { repository_id: "456790" }),
    github("the same owner's name, another owner_id, its subject kept", { repository_owner_id: "999999" }),
    github("transferred to another owner, its subject kept", { repository_owner_id: "777", repository_owner: "evil-org" }),
  ]),
  ...bad("J-22", "no-match", [
    github("the same name, another repository_id", { repository_id: "456790", sub: byName }),
    github("the same owner's name, another owner_id", { repository_owner_id: "999999", sub: byName }),
    github("transferred to another owner", { repository_owner_id: "777", repository_owner: "evil-org", sub: byName }),
    github("a fork's pull request", { event_name: "pull_request", ref: "refs/pull/7/merge" }),
    github("pull_request_target, which has the protected base ref", { event_name: "pull_request_target" }),
    github("an outsider's comment", { event_name: "issue_comment" }),
    github("a run that another run caused", { event_name: "workflow_run" }),
    github("an environment that spells a ref", { environment: "prod:ref:refs/heads/main" }),
    github("an environment that spells it with an escape", { environment: "prod%3Aref" }),
    github("no environment", without("environment")),
    github("a tag named main", { ref: "refs/tags/main", ref_type: "tag" }),
    github("a tag that says it is a branch", { ref: "refs/tags/main" }),
    github("a branch whose name begins alike", { ref: "refs/heads/main2" }),
    github("a branch that winds back to main", { ref: "refs/heads/release/../main" }),
    github("a branch in capitals", { ref: "refs/heads/MAIN" }),
    github("a reusable workflow from elsewhere", {
      job_workflow_ref: "evil-org/octo-repo/.github/workflows/d.yml@refs/heads/main",
    }),
    github("a workflow of another branch", { job_workflow_ref: "octo-org/octo-repo/.github/workflows/d.yml@refs/heads/dev" }),
    github("a workflow in a folder of its own", {
      job_workflow_ref: "octo-org/octo-repo/.github/workflows/a/d.yml@refs/heads/main",
    }),
    github("a dispatch on a branch", { event_name: "workflow_dispatch", ref: "refs/heads/dev", ref_protected: "false" }),
    github("main, no longer protected", { ref_protected: "false" }),
    github("main, its protection not told", without("ref_protected")),
    github("a runner of GitHub's", { runner_environment: "github-hosted" }),
    github("a schedule", { event_name: "schedule" }),
    github("a merge group", { event_name: "merge_group", ref: "refs/heads/gh-readonly-queue/main/pr-7" }),
    github("a deploy key", { actor: "mona", actor_id: "0" }),
    github("a bot with a person's name", { actor: "mona", actor_id: "49699333" }),
    github("a subject that names no repository", { sub: "environment:prod", repository_id: "1" }),
    github("a hyphen where the immutable subject has an @", {
      sub: "repo:octo-org-123456/octo-repo-456789:environment:prod",
      repository_id: "2",
      repository_owner_id: "3",
    }),
    github("no actor_id", without("actor_id")),
    github("a ref without its prefix", { ref: "main" }),
    enterprise("a repository whose name begins alike, in another organisation", {
      repository: "octo-org-evil/octo-repo",
      repository_owner: "octo-org-evil",
    }),
    enterprise("a repository behind a further slash", { repository: "octo-org/octo-x/evil" }),
    enterprise("an owner whose name begins alike", { repository_owner: "octo-org2" }),
    enterprise("a branch that winds out of its folder", { ref: "refs/heads/release/../main" }),
    enterprise("a branch that only begins with the folder's name", { ref: "refs/heads/released" }),
  ]),
  ...bad("J-22", "no-match", {
    "ref_protected true, where the issuer writes text": () => genericToken({ ref_protected: true }),
    "another project": () => genericToken({ project: "200" }),
    "the project's number with a fraction": () => genericToken({ project: "20.0" }),
    "another issuer's token with the same ids": () => enterpriseToken({ ref: "refs/heads/main", environment: "prod" }),
  }),
];
