import { deniedNames } from "./denied-names.ts";

const denied: readonly string[] = Object.values(deniedNames)
  .flat()
  .map((name) => name.toLowerCase());

/** A name stands for itself; one that ends in `*` for every name that begins so. Nothing else is a pattern. */
export function named(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
}

/**
 * Without case: npm, yarn and pip read their settings in either, and a proxy's name is written in both. GitLab's custom executor hands
 * every variable of a job over a second time, behind a beginning of its own.
 */
function isDenied(name: string): boolean {
  const lower = name.toLowerCase();
  return named(lower, denied) || named(lower.replace(/^custom_env_/, ""), denied);
}

/** Whether nothing of this name, or with its `*` nothing that begins so, would ever enter a job. */
export function isDropped(pass: string): boolean {
  // `GITHUB_TOKEN` is denied, and what `GITHUB_TOKEN*` passes besides is not.
  return isDenied(pass);
}

/**
 * A JWT, alone or within a longer value: GitLab and Jenkins put identity tokens under names that the job chooses, so the value
 * tells. What stands before it does not matter: GitLab's job tokens are one behind a prefix, and an address may hold one in percents.
 */
const jwt = /eyJ[\w-]{8,}\.[\w-]+\./;

/** The variables that a template lets pass, the denied ones left out even then. What cannot be a variable's name is dropped. */
export function passed(
  environment: Readonly<Record<string, string>>,
  pass: readonly string[],
): Readonly<Record<string, string>> {
  const kept = Object.entries(environment).filter(
    ([name, value]) => isPassable(name, value) && named(name, pass) && !isDenied(name) && !jwt.test(value),
  );
  return Object.fromEntries(kept);
}

function isPassable(name: string, value: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !value.includes("\0");
}

/** What every job has; it wins over what was passed, so that no runner can point a job's PATH or HOME elsewhere. */
const base = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/home/job",
  USER: "job",
  LANG: "C.UTF-8",
  MAYFLY: "1",
  // The init's own warnings would stand in the job's stderr.
  TINI_VERBOSITY: "0",
  MAYFLY_CREDENTIALS: "/run/mayfly/credentials",
  MAYFLY_WORKSPACE: "/workspace",
} as const;

/** The whole environment of a job's first process. */
export function jobEnvironment(
  environment: Readonly<Record<string, string>>,
  pass: readonly string[],
): Readonly<Record<string, string>> {
  return { ...passed(environment, pass), ...base };
}

export const jobPath: readonly string[] = base.PATH.split(":");
