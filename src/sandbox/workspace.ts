import { closeSync, fstatSync, openSync } from "node:fs";
import { BrokerError, type Code } from "../errors.ts";
import { errno, KernelError, openBeneath } from "./kernel.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * A path named by a client and mounted by root is a confused deputy: so it must lie below a configured root, be reached
 * through no symbolic link (of the root's own path either), and belong to the user who asks. What is returned is the opened
 * folder itself; whoever swaps the path afterwards changes nothing. The caller closes it.
 */
export function openWorkspace(path: string, owner: Owner, roots: readonly string[]): number {
  const below = belowOf(path, roots);
  const top = openSync("/", "r");
  try {
    return ownedBy(owner, openFolder(top, below));
  } finally {
    closeSync(top);
  }
}

/** The path below "/", where it names a folder below a root without any `.`, `..` or empty part. */
function belowOf(path: string, roots: readonly string[]): string {
  const plain =
    path.startsWith("/") &&
    !path.includes("\0") &&
    path
      .slice(1)
      .split("/")
      .every((part) => part !== "" && part !== "." && part !== "..");
  if (plain && roots.some((root) => path.startsWith(`${root}/`))) return path.slice(1);
  throw new BrokerError("workspace-outside", undefined, {
    hint: "work below one of the folders that mayfly.yaml lists under sandbox.workspaces, and name it without '.', '..' or doubled slashes",
  });
}

function openFolder(top: number, below: string): number {
  try {
    return openBeneath(top, below);
  } catch (cause) {
    if (!(cause instanceof KernelError)) throw cause;
    throw new BrokerError(refusals[cause.errno] ?? "workspace-missing", undefined, { cause });
  }
}

const refusals: Readonly<Record<number, Code>> = { [errno.ELOOP]: "workspace-symlink", [errno.EXDEV]: "workspace-outside" };

function ownedBy(owner: Owner, folder: number): number {
  const { uid } = fstatSync(folder);
  if (uid === owner.uid) return folder;
  closeSync(folder);
  throw new BrokerError("workspace-owner");
}
