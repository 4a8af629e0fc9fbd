import { accepts } from "../pattern.ts";
import { branchClaims } from "./claim-values.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { gives } from "./run-view.ts";
import { scopeTexts } from "./scope-view.ts";
import { asking, asks, isLiteral, isProtected, letsIn, patternText, presetIs } from "./who-view.ts";
import { productionWord, saysLesser, saysProduction } from "./words.ts";

/** Whose code it is that a job runs. */
export const trustRules: readonly Rule[] = [
  {
    name: "trust-missing",
    level: "risk",
    says: "Credentials are given, and nothing asks how trusted the job's code is: pull requests, unprotected branches and events that anybody causes get them too.",
    fix: "add `trust: protected` to who",
    check: (linted) =>
      derivesTrust(linted) && !asks(linted, "trust") ? [{ path: ["who"], message: "no line asks for trust" }] : [],
  },
  {
    name: "untrusted-code",
    level: "risk",
    says: "Code that nobody has reviewed gets credentials: a pull request or a fork's job may do with them whatever its author likes.",
    fix: "give pull requests a template of their own without credentials",
    check: (linted) =>
      gives(linted) ? asking(linted, "trust").flatMap(({ path, patterns }) => unreviewed(patterns.map(patternText), path)) : [],
  },
  {
    name: "dangerous-events",
    level: "risk",
    says: "Events that run with the repository's own rights on what a stranger sent (pull_request_target, workflow_run, issue_comment) are let in.",
    fix: "add `not: { event_name: [pull_request_target, workflow_run, issue_comment] }`, or name the events that you mean",
    check: dangerousEvents,
  },
  {
    name: "production-unprotected",
    level: "risk",
    says: "Production credentials are within reach of unprotected branches, which whoever may push can make.",
    fix: "ask for `trust: protected` and nothing else",
    check: (linted) => {
      const word = productionWord(linted);
      if (word === undefined || !derivesTrust(linted) || !asks(linted, "trust") || isProtected(linted)) return [];
      return asking(linted, "trust")
        .slice(0, 1)
        .map(({ path }) => ({ path, message: `less than protected, for ${JSON.stringify(word)}` }));
    },
  },
  {
    name: "environment-glob",
    level: "risk",
    says: "An environment comes into being when a workflow names it, without any protection: a glob also takes those that an attacker names.",
    fix: "name each environment in full",
    check: (linted) =>
      gives(linted)
        ? asking(linted, "environment").flatMap(({ path, patterns }) =>
            patterns
              .filter((pattern) => !isLiteral(pattern))
              .map((pattern) => ({ path, message: `takes any environment like ${patternText(pattern)}` })),
          )
        : [],
  },
  {
    name: "any-branch",
    level: "advice",
    says: "The line on the branch takes every branch: it reads like a restriction, and is none.",
    fix: "name the branches, ask for `trust: protected`, or take the line out",
    check: anyBranch,
  },
  {
    name: "branch-is-a-label",
    level: "advice",
    says: "This issuer's branch is what the build says of itself: a fork's pull request may call its branch main.",
    fix: "switch off builds of forks, and say so with `accept`; or ask for the queue or cluster that only trusted builds use",
    check: (linted) =>
      gives(linted) && presetIs(linted, "buildkite", "circleci")
        ? asking(linted, "build_branch", "oidc.circleci.com/vcs-ref").map(({ claim, path }) => ({
            path,
            message: `${claim} proves nothing`,
          }))
        : [],
  },
  {
    name: "ref-of-either-kind",
    level: "advice",
    says: "GitLab's `ref` does not say whether it is a branch or a tag, and a tag may be called as the branch is.",
    fix: "ask for ref_path (refs/heads/main), or for ref_type too",
    check: (linted) =>
      presetIs(linted, "gitlab") && !asks(linted, "ref_type") && !asks(linted, "ref_path")
        ? asking(linted, "ref").map(({ path }) => ({ path, message: "a branch or a tag of this name" }))
        : [],
  },
  {
    name: "phase-not-asked",
    level: "risk",
    says: "A Terraform plan gets what the apply gets, and a plan runs for pull requests whose code nobody has reviewed.",
    fix: "add `terraform_run_phase: apply`; give plans a template that can only read",
    check: (linted) =>
      gives(linted) && presetIs(linted, "hcp-terraform") && !asks(linted, "terraform_run_phase")
        ? [{ path: ["who"], message: "plans match as well as applies" }]
        : [],
  },
  {
    name: "name-says-otherwise",
    level: "risk",
    says: "The template is called after a lesser environment and gives production credentials: a copied line, or a name that misleads its reviewers.",
    fix: "give it the credentials of its own environment, or the name of the one it is for",
    check: nameSaysOtherwise,
  },
];

/** Where trust can be asked for, and credentials are given. */
function derivesTrust(linted: Linted): boolean {
  return gives(linted) && linted.issuers.some(({ trusts }) => trusts.includes("protected"));
}

function unreviewed(trusts: readonly string[], path: Finding["path"]): readonly Finding[] {
  const found = trusts.filter((trust) => trust === "pull_request" || trust === "fork");
  return found.length === 0 ? [] : [{ path, message: `${found.join(" and ")} jobs get credentials` }];
}

/** Whoever asks for trust beyond pull requests has excluded them; who asks for none was told so, and has accepted it. */
function dangerousEvents(linted: Linted): readonly Finding[] {
  if (!gives(linted) || !presetIs(linted, "github", "forgejo")) return [];
  const open = letsIn(linted, "trust", "unknown") && Object.hasOwn(linted.template.accepts, "trust-missing");
  const pulls = asks(linted, "trust") && letsIn(linted, "trust", "pull_request");
  const dangerous = [...(open || pulls ? ["pull_request_target"] : []), ...(open ? ["workflow_run", "issue_comment"] : [])];
  const found = dangerous.filter((event) => letsIn(linted, "event_name", event));
  return found.length === 0 ? [] : [{ path: ["who"], message: `${found.join(", ")} can match` }];
}

function anyBranch(linted: Linted): readonly Finding[] {
  if (!gives(linted) || isProtected(linted)) return [];
  const some = ["refs/heads/zz9-any", "zz9-any"];
  return asking(linted, ...branchClaims)
    .filter(({ patterns }) => patterns.some((pattern) => !isLiteral(pattern) && some.some((ref) => accepts(pattern, ref))))
    .map(({ claim, path }) => ({ path, message: `every ${claim} fits` }));
}

function nameSaysOtherwise(linted: Linted): readonly Finding[] {
  if (!gives(linted) || !saysLesser(linted.template.name)) return [];
  const environments = asking(linted, "environment", "deployment_tier").flatMap(({ path, patterns }) =>
    patterns.map((pattern) => ({ path, text: patternText(pattern) })),
  );
  const scopes = [...linted.template.credentials.keys()].flatMap((name) => scopeTexts(linted, name));
  return [...environments, ...scopes]
    .filter(({ text }) => saysProduction(text))
    .map(({ path, text }) => ({ path, message: `${JSON.stringify(text)} in a template called ${linted.template.name}` }));
}
