import { isKnown } from "./claim-rules.ts";
import { branchClaims } from "./claim-values.ts";
import { actionTakes, hasWildcard, isAnyAction, isAnyResource } from "./iam.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { credentialsOf } from "./run-view.ts";
import { type ScopeText, scopeTexts } from "./scope-view.ts";
import { slotFindings } from "./slot-view.ts";
import { pins } from "./who-view.ts";
import { slipOf } from "./words.ts";

/** What a credential may do, as far as the words show it, and who chooses it. */
export const scopeRules: readonly Rule[] = [
  {
    name: "slot-never-filled",
    level: "error",
    says: "A slot names a claim that the issuer's tokens never have: every run is denied.",
    fix: "name a claim that the tokens have",
    check: (linted) =>
      slotFindings(linted, (claim) => {
        const known = linted.issuers.flatMap((issuer) => issuer.known ?? []);
        const listed = linted.issuers.length > 0 && linted.issuers.every((issuer) => issuer.known !== undefined);
        if (!listed || isKnown(claim, known)) return undefined;
        const near = slipOf(claim, known);
        return { message: `no token has a claim ${claim}`, ...(near === undefined ? {} : { fix: `did you mean {${near}}?` }) };
      }),
  },
  {
    name: "slot-chosen-by-job",
    level: "risk",
    says: "What a credential is for comes from a claim that whoever starts the job chooses, such as a branch's name: a well-chosen name is somebody else's scope.",
    fix: "use an id ({repository_id}, {run_id}), or write the claim's values out in who",
    check: (linted) =>
      slotFindings(linted, (claim) =>
        chosen.includes(claim) && !pins(linted, claim)
          ? { message: `${claim} is whatever the job's author calls it` }
          : undefined,
      ),
  },
  {
    name: "slot-is-a-name",
    level: "advice",
    says: "What a credential is for comes from a name: after a rename it is for something else, and who takes the old name gets the old scope.",
    fix: "use an id, such as {repository_id} or {project_id}",
    check: (linted) =>
      slotFindings(linted, (claim) =>
        linted.issuers.some(({ names }) => names.includes(claim)) && !pins(linted, claim)
          ? { message: `${claim} is a name` }
          : undefined,
      ),
  },
  {
    name: "admin-scope",
    level: "risk",
    says: "By its name the role, path or policy is an administrator's: a job that can do everything is a job that can hide what it did.",
    fix: "make a role that can do what the job does and no more",
    check: (linted) =>
      textFindings(linted, ({ text }) =>
        admin.test(text.replaceAll(/\{[^{}]*\}/g, "")) ? `an administrator's, by its name: ${text}` : undefined,
      ),
  },
  {
    name: "policy-any-action",
    level: "risk",
    says: "A policy allows every action, or every action of a service.",
    fix: "list the actions that the job uses; `mayfly suggest` shows them",
    check: (linted) => policyFindings(linted, "Action", isAnyAction),
  },
  {
    name: "policy-any-resource",
    level: "risk",
    says: "A policy allows its actions on every resource of the account.",
    fix: "name the resource, with {repository_id} in it where jobs share one",
    check: (linted) => policyFindings(linted, "Resource", isAnyResource),
  },
  {
    name: "policy-passes-role",
    level: "risk",
    says: "`iam:PassRole` hands any role to a service, and with it whatever that role may do.",
    fix: "leave it to a deployment role, with the role that may be passed as its only resource",
    check: (linted) => actionFindings(linted, ["iam:PassRole"]),
  },
  {
    name: "policy-chains-roles",
    level: "risk",
    says: "`sts:AssumeRole` goes on to another role, which no template bounds and no revocation here ends.",
    fix: "let the template's credential be the role that does the work",
    check: (linted) => actionFindings(linted, chaining),
  },
  {
    name: "role-with-wildcard",
    level: "error",
    says: "A role's ARN names one role: with a wildcard in it it names none, and every run is refused upstream.",
    fix: "write the role in full; for_each can make one template for each of several",
    check: (linted) =>
      textFindings(linted, ({ path, text }) =>
        path.at(-1) === "role" && text.startsWith("arn:") && hasWildcard(text) ? `no role is called ${text}` : undefined,
      ),
  },
  {
    name: "as-job",
    level: "risk",
    says: "The job's own token goes upstream: whoever holds that token can go there too, past this broker and whatever it bounds.",
    fix: "take a provider whose upstream trusts the broker instead (`as: broker` in mayfly.yaml); else let the upstream ask for what 'who' asks for, and accept this",
    check: (linted) =>
      credentialsOf(linted)
        .filter(({ as }) => as === "job")
        .map(({ name, provider }) => ({
          path: ["credentials", name, "provider"],
          message: `${provider} shows the job's own token upstream`,
        })),
  },
];

/** What the author of a commit, a branch or a workflow writes. */
const chosen: readonly string[] = [
  ...branchClaims,
  "actor",
  "environment",
  "workflow",
  "build_tag",
  "step_key",
  "user_login",
  "environment_action",
];

const admin =
  /(?:^|[/:_.-])(?:admin|administrator|administratoraccess|poweruseraccess|root|superuser|sudo|cluster-admin|owner)(?:$|[/:_.-])/i;

/** Roles that one goes on to; each has the same end in a policy. */
const chaining: readonly string[] = [
  "sts:AssumeRole",
  "sts:AssumeRoleWithSAML",
  "sts:AssumeRoleWithWebIdentity",
  "sts:AssumeRoot",
];

/** What takes every action of every service is told by a rule of its own, and this would be the same again. */
function actionFindings(linted: Linted, actions: readonly string[]): readonly Finding[] {
  return policyFindings(
    linted,
    "Action",
    (text) => !actionTakes(text, "zz9:Zz9") && actions.some((action) => actionTakes(text, action)),
  );
}

function textFindings(linted: Linted, judge: (text: ScopeText) => string | undefined): readonly Finding[] {
  return credentialsOf(linted).flatMap(({ name }) =>
    scopeTexts(linted, name).flatMap((text) => {
      const message = judge(text);
      return message === undefined ? [] : [{ path: text.path, message }];
    }),
  );
}

/** A statement of a policy as AWS writes it, and all that copied it; `NotAction` and `NotResource` are everything but. */
function policyFindings(linted: Linted, member: "Action" | "Resource", fits: (text: string) => boolean): readonly Finding[] {
  return textFindings(linted, ({ path, text }) => {
    const key = path.findLast((part) => typeof part === "string")?.toLowerCase();
    if (key === `not${member.toLowerCase()}`) return fits("*") ? `everything but ${text}` : undefined;
    return key === member.toLowerCase() && fits(text) ? `${member} ${text}` : undefined;
  });
}
