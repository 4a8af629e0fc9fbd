import type { IssuerRoom } from "../rooms.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { gives } from "./run-view.ts";
import { slotFindings } from "./slot-view.ts";
import { asking, isLiteral, isProtected, patternText, pins, presetIs } from "./who-view.ts";

/** Whose jobs a template is for. That it names an id at all is the language's own rule. */
export const whoseRules: readonly Rule[] = [
  {
    name: "id-is-a-name",
    level: "risk",
    says: "Which repository, project or pipeline it is, is said by its name alone: whoever takes that name once it is free gets the credentials.",
    fix: "ask for its id; a name may stand beside it",
    check: (linted) => [...whoseFindings(linted, "name"), ...wordsForIds(linted)],
  },
  {
    name: "owner-wide",
    level: "risk",
    says: "Only the owner is named, so that every repository, project or pipeline of it gets the credentials, also those that are made tomorrow.",
    fix: "ask for the id of the repository, project or pipeline too, or pin the reusable workflow (job_workflow_ref)",
    check: (linted) => whoseFindings(linted, "owner"),
  },
  {
    name: "subject-crosses",
    level: "risk",
    says: "The subject ends in `**`, and nothing else says which workload it is: everything beneath gets the credentials, also what is added there tomorrow.",
    fix: "write the subject in full, or with a '*' that stays within its segment",
    check: (linted) => whoseFindings(linted, "subject"),
  },
  {
    name: "person-by-name",
    level: "advice",
    says: "A person is named by a login or an address, which can be given up and taken by somebody else.",
    fix: "ask for the person's id: actor_id (GitHub, Forgejo), user_id (GitLab)",
    check: (linted) =>
      asking(linted, "actor", "user_login", "user_email").map(({ claim, path }) => ({ path, message: `${claim} is a name` })),
  },
  {
    name: "workflow-by-name",
    level: "advice",
    says: "`workflow` is the name that a workflow's file gives itself: any other file of the repository can have the same.",
    fix: "ask for workflow_ref, which is the file and the ref it was read from",
    check: (linted) =>
      presetIs(linted, "github", "forgejo")
        ? asking(linted, "workflow").map(({ path }) => ({ path, message: "any workflow can call itself so" }))
        : [],
  },
  {
    name: "workflow-any-ref",
    level: "risk",
    says: "A workflow is named without the ref that it is read from: whoever may push a branch there writes his own version of it.",
    fix: "name the ref after the '@', such as @refs/heads/main",
    check: anyRefWorkflows,
  },
  {
    name: "ids-of-two-issuers",
    level: "risk",
    says: "Two issuers are named, and an id that each of them gives out for itself: the same number is another repository at each, and both get the credentials.",
    fix: "write a template for each issuer, with its own ids",
    check: idsOfTwoIssuers,
  },
];

/** These number what they know: a name there matches nobody, and hides that no id is asked for. */
function wordsForIds(linted: Linted): readonly Finding[] {
  if (!presetIs(linted, "github", "forgejo", "gitlab")) return [];
  const ids = linted.issuers
    .flatMap(({ claims, workload }) => [...claims, ...workload])
    .filter((claim) => claim.endsWith("_id"));
  return asking(linted, ...new Set(ids)).flatMap(({ claim, patterns, path }) => {
    const word = patterns
      .filter(isLiteral)
      .map(patternText)
      .find((text) => !/^\d+$/.test(text) && !text.includes("{"));
    const message = `${claim} is a number, and never ${JSON.stringify(word)}`;
    return word === undefined
      ? []
      : [{ path, message, fix: "write the id; the name may stand beside it as a claim of its own" }];
  });
}

type Wide = "name" | "owner" | "subject";

function whoseFindings(linted: Linted, wide: Wide): readonly Finding[] {
  if (!gives(linted)) return [];
  return linted.issuers.flatMap((issuer) => {
    const found = widthOf(linted, issuer);
    return found?.wide === wide ? [found.finding] : [];
  });
}

/** At most one of the three: whoever is told that it is a name need not hear that it is wide. */
function widthOf(linted: Linted, issuer: IssuerRoom): { readonly wide: Wide; readonly finding: Finding } | undefined {
  const { claims, workload, names, preset } = issuer;
  if (claims.length === 0 || isWhole(linted, issuer)) return nameAsId(linted, issuer);
  const ids = workload.join(" and ");
  const name = asking(linted, ...names).find(({ claim, patterns }) => pins(linted, claim) && !patterns.some(holdsIds));
  if (name !== undefined) {
    const message = `${name.claim} is a name, and nothing else says which ${idNoun(preset)} it is`;
    return { wide: "name", finding: { path: name.path, message, fix: `ask for ${ids}; the name may stand beside it` } };
  }
  if (pins(linted, "job_workflow_ref")) return undefined;
  const subject = asking(linted, "sub").find(({ patterns }) => patterns.some((pattern) => patternText(pattern).endsWith("**")));
  if (subject !== undefined) {
    return { wide: "subject", finding: { path: subject.path, message: "everything beneath this subject can match" } };
  }
  const only = claims.filter((claim) => asking(linted, claim).length > 0).join(" and ");
  return {
    wide: "owner",
    finding: { path: ["who"], message: `${only} is all that says whose job it is`, fix: `ask for ${ids} too` },
  };
}

function isWhole(linted: Linted, { claims, workload, names }: IssuerRoom): boolean {
  const bySubject = claims.includes("sub") && !names.includes("sub") && pins(linted, "sub");
  return bySubject || (workload.length > 0 && workload.every((claim) => pins(linted, claim)));
}

/** Where mayfly.yaml itself makes a name the workload, the template has nothing better. */
function nameAsId(
  linted: Linted,
  { workload, names }: IssuerRoom,
): { readonly wide: Wide; readonly finding: Finding } | undefined {
  const line = asking(linted, ...workload).find(({ claim }) => names.includes(claim));
  const named = line !== undefined && workload.every((claim) => names.includes(claim));
  if (!named) return undefined;
  const fix = "let the issuer's 'workload' in mayfly.yaml be an id, and ask for that";
  return { wide: "name", finding: { path: line.path, message: `${line.claim} is a name, and so is its whole workload`, fix } };
}

/** GitHub's immutable subjects: `repo:OWNER@ID/REPO@ID:…`. */
function holdsIds(pattern: Parameters<typeof patternText>[0]): boolean {
  return /^repo:[^@/:*]+@\d+\/[^@/:*]+@\d+(?::|$)/.test(patternText(pattern));
}

function idNoun(preset: string): string {
  if (preset === "github" || preset === "forgejo") return "repository";
  return preset === "gitlab" ? "project" : "workload";
}

function anyRefWorkflows(linted: Linted): readonly Finding[] {
  if (!gives(linted)) return [];
  // A protected job's own workflow was read from its protected ref; a reusable one's ref is its caller's choice.
  const claims = isProtected(linted) ? ["job_workflow_ref"] : ["workflow_ref", "job_workflow_ref"];
  return asking(linted, ...claims).flatMap(({ claim, patterns, path }) => {
    const open = patterns.filter((pattern) => !isLiteral(pattern)).map(patternText);
    const found = open.find(
      (text) => /@(?:\*|refs\/(?:\*|heads\/\*))/.test(text) || (!text.includes("@") && text.endsWith("**")),
    );
    return found === undefined ? [] : [{ path, message: `${claim} takes ${found} from any branch` }];
  });
}

/** What is unique in the whole world: a UUID, and a SPIFFE ID, which holds its trust domain. */
const unique = /^(?:\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$|spiffe:\/\/)/i;

function idsOfTwoIssuers(linted: Linted): readonly Finding[] {
  if (!gives(linted) || linted.issuers.length < 2) return [];
  const shared = (claim: string): boolean => linted.issuers.filter((issuer) => isOwnId(issuer, claim)).length > 1;
  const names = linted.issuers.length;
  const asked = linted.lines
    .filter(({ kind, claim, patterns }) => kind === "claim" && shared(claim) && !patterns.every(isUnique))
    .map(({ claim, path }) => ({ path, message: `${claim} is another's at each of ${names} issuers` }));
  const filled = slotFindings(linted, (claim) =>
    shared(claim) ? { message: `{${claim}} can be the same for jobs of ${names} issuers` } : undefined,
  );
  return [...asked, ...filled];
}

function isOwnId({ claims, workload, names, known }: IssuerRoom, claim: string): boolean {
  return [...claims, ...workload, ...names].includes(claim) || (/id$/i.test(claim) && known?.includes(claim) === true);
}

function isUnique(pattern: Parameters<typeof patternText>[0]): boolean {
  return unique.test(patternText(pattern));
}
