import { z } from "zod";
import type { Preset } from "../presets/preset.ts";
import { type PresetName, presets } from "../presets/presets.ts";
import type { Profile } from "../profile.ts";
import { claimName } from "./claim-name.ts";
import { issuerUrl } from "./issuer-url.ts";

const claimNames = z.array(claimName).min(1).max(8);

/** The keys of an issuer's configuration that say which claims are its ids. */
export const idsSchema = {
  required: z.array(claimName).max(32).default([]),
  workload: claimNames.optional(),
  job: claimNames.optional(),
};

export interface WrittenIds {
  readonly preset: PresetName;
  readonly url?: string | undefined;
  readonly required: readonly string[];
  readonly workload?: readonly string[] | undefined;
  readonly job?: readonly string[] | undefined;
}

/** What says whose job it is, in the tokens of one issuer. */
export interface Identifying {
  /** A template must name one of these in full. None where the issuer itself says it. */
  readonly claims: readonly string[];
  /** Where set, a `sub` may also be named by this and two segments more, with a glob for what is below them. */
  readonly subjectsBelow: string | undefined;
}

/** By issuer. A branch, an event or an audience is the same in everybody's tokens. */
export function identifyingClaims(issuers: Readonly<Record<string, WrittenIds>>): ReadonlyMap<string, Identifying> {
  return new Map(Object.entries(issuers).map(([name, issuer]) => [name, identifyingOf(issuer)]));
}

/** A preset's own alone: what is added to its workload tells its owner's jobs apart, and may be anybody's. */
function identifyingOf(issuer: WrittenIds): Identifying {
  const { identifying, subjectIsPath } = presets[issuer.preset];
  return {
    claims: issuer.preset === "generic" ? (issuer.workload ?? []) : identifying,
    subjectsBelow: subjectIsPath ? `${issuerUrl(issuer)}/` : undefined,
  };
}

/** What a token was made for, when, and of what: another's can say the same, and two of one job need not. */
const nobodys: ReadonlySet<string> = new Set(
  [
    ["iss", "aud", "exp", "iat", "nbf", "jti", "typ", "nonce", "auth_time", "acr", "amr", "at_hash"],
    ["ref", "ref_type", "ref_path", "ref_name", "ref_protected", "base_ref", "head_ref", "branch", "branchName", "tag", "sha"],
    ["build_branch", "build_tag", "build_commit", "build_source", "commit", "event", "event_name", "pipeline_source"],
    ["oidc.circleci.com/vcs-ref", "rpo_ref"],
    ["environment", "environment_protected", "deployment_tier", "runner_environment", "repository_visibility"],
    ["actor", "actor_id", "user_id", "user_login", "user_email", "email_verified"],
  ].flat(),
);

/** Each key with what is wrong with it, or undefined. */
export function idsFlaws(issuer: WrittenIds): readonly (readonly [string, string | undefined])[] {
  return [
    ["workload", idsFlaw(issuer, "workload", "name the claims whose ids say what asks, such as [project_id]")],
    ["job", idsFlaw(issuer, "job", "name the claims whose ids say which run asks, such as [job_id]")],
    ["required", requiredFlaw(issuer)],
  ];
}

function idsFlaw(issuer: WrittenIds, ids: "workload" | "job", missing: string): string | undefined {
  const preset: Preset = presets[issuer.preset];
  const written = issuer[ids];
  if (written === undefined) return issuer.preset === "generic" ? missing : undefined;
  const label = written.find((name) => nobodys.has(name) || (ids === "workload" && preset.labels.includes(name)));
  if (label !== undefined) return `${label} is no id: others have the same, or come to have it`;
  const lost = preset[ids].filter((name) => !written.includes(name));
  return lost.length === 0 ? undefined : `ids are added to the preset's own, which stay: write ${lost.join(", ")} too`;
}

/** A boolean says something by its value alone. */
const booleans: readonly string[] = ["email_verified", "phone_number_verified", "oidc.circleci.com/ssh-rerun"];

function requiredFlaw({ required }: WrittenIds): string | undefined {
  const found = required.find((name) => booleans.includes(name));
  return found && `${found} is a boolean, and what is required is text or a number: write \`${found}: true\` in templates`;
}

export function idsOf(issuer: WrittenIds): Pick<Profile, "required" | "workload" | "job" | "jobWhereSent"> {
  const preset: Preset = presets[issuer.preset];
  const workload = issuer.workload ?? preset.workload;
  const job = issuer.job ?? preset.job;
  return {
    workload,
    job,
    jobWhereSent: preset.jobWhereSent.filter((name) => !job.includes(name)),
    required: [...new Set([...preset.required, ...issuer.required, ...workload, ...job])],
  };
}
