import { lstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { BrokerError } from "../errors.ts";
import { jobPath } from "./environment.ts";
import type { Shown } from "./rootfs.ts";

/** How a path inside the job is found on the host, before the job exists. */
export interface View {
  readonly root: string;
  readonly shown: readonly Shown[];
}

/**
 * Finds the command where the job's own search would, so that a misspelt one is told before anything is minted. A courtesy, not a
 * guard: the workspace is the runner's and may change; the job's own exec has the last word. Throws `command-not-found`.
 */
export function findCommand(name: string, view: View): void {
  const tried = name.includes("/") ? [posix.resolve("/workspace", name)] : jobPath.map((folder) => `${folder}/${name}`);
  if (name !== "" && tried.some((path) => isProgram(path, view))) return;
  throw new BrokerError(
    "command-not-found",
    `the command ${JSON.stringify(name.slice(0, 200))} does not exist inside the sandbox`,
    {
      hint: "a job sees the host's /usr and its workspace, nothing else of the host",
    },
  );
}

/** What the kernel refuses to look up, as a name that is too long, is no program. */
function isProgram(path: string, view: View): boolean {
  try {
    const found = resolve(path, view, { left: mostLookups });
    const stats = found === undefined ? undefined : lstatSync(found, { throwIfNoEntry: false });
    return stats !== undefined && stats.isFile() && (stats.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** All jobs wait while this one's command is looked for, and its workspace may hold a maze of links that is 2000 folders deep. */
const mostLookups = 256;

/** Follows links as the job would see them: an absolute one starts again at the job's root, not at the host's. */
function resolve(path: string, view: View, lookups: { left: number }): string | undefined {
  const parts = path.split("/").filter((part) => part !== "");
  for (const [index] of parts.entries()) {
    if (lookups.left-- <= 0) return undefined;
    const here = `/${parts.slice(0, index + 1).join("/")}`;
    const target = linkAt(onHost(here, view));
    if (target !== undefined)
      return resolve(posix.resolve(posix.dirname(here), target, ...parts.slice(index + 1)), view, lookups);
  }
  return onHost(path, view);
}

function linkAt(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isSymbolicLink() === true ? readlinkSync(path) : undefined;
}

function onHost(path: string, { root, shown }: View): string {
  const mounts = shown.filter(({ at }) => path === at || path.startsWith(`${at}/`));
  const deepest = mounts.toSorted((one, other) => other.at.length - one.at.length)[0];
  return deepest === undefined ? `${root}${path}` : `${deepest.source}${path.slice(deepest.at.length)}`;
}
