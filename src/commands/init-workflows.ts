import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseDocument, stringify } from "yaml";
import type { PresetName } from "../identity/presets/presets.ts";
import { checkoutOf, textOf } from "./init-repository.ts";

/** A job that the pipeline has already, and what it would need to run a command with the template. */
export interface ExistingJob {
  readonly file: string;
  readonly job: string;
  /** As they are written in it; empty where nothing lacks. */
  readonly lacks: readonly string[];
}

export interface Needs {
  readonly audience: string;
  readonly environment: string | undefined;
}

/**
 * The jobs of a checkout's pipeline, where it is one file of YAML a pipeline: GitHub's, Forgejo's and GitLab's. Which of them is to have the
 * credentials, nobody can tell from here. What cannot be read has none; nothing is fetched or run, and other files that it includes are not read.
 */
export function existingJobs(preset: PresetName, folder: string, needs: Needs): readonly ExistingJob[] {
  const root = checkoutOf(folder);
  if (preset === "gitlab") return jobsIn(root, ".gitlab-ci.yml", (file) => gitlabJobs(file, needs));
  const workflows = { github: ".github/workflows", forgejo: ".forgejo/workflows" };
  if (preset !== "github" && preset !== "forgejo") return [];
  const within = workflows[preset];
  const jobs = preset === "github" ? githubJobs : forgejoJobs;
  return filesOf(root, within).flatMap((file) => jobsIn(root, file, (workflow) => jobs(workflow, needs)));
}

const mostFiles = 50;
const mostJobs = 20;

function filesOf(root: string, within: string): readonly string[] {
  try {
    const names = readdirSync(join(root, within)).filter((name) => /\.ya?ml$/.test(name));
    return names
      .toSorted()
      .slice(0, mostFiles)
      .map((name) => `${within}/${name}`);
  } catch {
    return [];
  }
}

type Members = Readonly<Record<string, unknown>>;
type Jobs = readonly (readonly [job: string, lacks: readonly string[]])[];

function jobsIn(root: string, file: string, jobsOf: (file: Members) => Jobs): readonly ExistingJob[] {
  return jobsOf(membersIn(textOf(join(root, file))))
    .slice(0, mostJobs)
    .map(([job, lacks]) => ({ file, job, lacks }));
}

/** Whoever wrote it, it is read for its names alone: what is no map, or too deep, is empty. */
function membersIn(text: string): Members {
  try {
    return members(parseDocument(text, { logLevel: "silent", uniqueKeys: false }).toJS({ maxAliasCount: 100 }));
  } catch {
    return {};
  }
}

function members(value: unknown): Members {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function githubJobs(workflow: Members, { environment }: Needs): Jobs {
  return stepJobs(workflow).map(([name, job]) => [
    name,
    [
      ...lackedPermissions(job["permissions"] ?? workflow["permissions"]),
      ...(ownRunner(job["runs-on"]) ? [] : ["runs-on: self-hosted"]),
      ...lackedEnvironment(job["environment"], environment),
    ],
  ]);
}

function forgejoJobs(workflow: Members): Jobs {
  return stepJobs(workflow).map(([name, job]) => [
    name,
    (job["enable-openid-connect"] ?? workflow["enable-openid-connect"]) === true ? [] : ["enable-openid-connect: true"],
  ]);
}

/** Those that call another workflow run nothing themselves. */
function stepJobs(workflow: Members): readonly (readonly [string, Members])[] {
  return Object.entries(members(workflow["jobs"]))
    .map(([name, job]) => [name, members(job)] as const)
    .filter(([, job]) => Array.isArray(job["steps"]));
}

/** A job that names permissions has no others, so those that it has stay named. */
function lackedPermissions(written: unknown): readonly string[] {
  const named = members(written);
  if (written === "write-all" || named["id-token"] === "write") return [];
  return Object.keys(named).length === 0
    ? ["permissions: { id-token: write, contents: read }"]
    : ["id-token: write, beside its permissions"];
}

/** Where a label is filled when it runs, nobody can tell. */
function ownRunner(runsOn: unknown): boolean {
  const { group, labels = runsOn } = members(runsOn);
  return (
    group !== undefined ||
    [labels].flat().some((label) => typeof label === "string" && (label === "self-hosted" || label.includes("${{")))
  );
}

function lackedEnvironment(written: unknown, wanted: string | undefined): readonly string[] {
  const name = members(written)["name"] ?? written;
  return wanted === undefined || name === wanted ? [] : [`environment: ${stringify(wanted).trim()}`];
}

function gitlabJobs(file: Members, { audience, environment }: Needs): Jobs {
  return Object.entries(file)
    .map(([name, job]) => [name, members(job)] as const)
    .filter(([name, job]) => !name.startsWith(".") && name !== "default" && job["script"] !== undefined)
    .map(([name, job]) => [
      name,
      [
        ...(asksFor(job["id_tokens"] ?? members(file["default"])["id_tokens"], audience)
          ? []
          : [`id_tokens: { MAYFLY_ID_TOKEN: { aud: ${JSON.stringify(audience)} } }`]),
        ...lackedEnvironment(job["environment"], environment),
      ],
    ]);
}

/** Of the name that `mayfly run` looks for, and for one audience alone. */
function asksFor(tokens: unknown, audience: string): boolean {
  const { aud } = members(members(tokens)["MAYFLY_ID_TOKEN"]);
  return [aud].flat().every((one) => one === audience);
}
