import { accessSync, constants, lstatSync, realpathSync, type Stats } from "node:fs";
import { basename, dirname } from "node:path";
import { BrokerError } from "../../src/errors.ts";

/** Of util-linux, which every Linux of a server has. */
const setpriv = "/usr/bin/setpriv";

/** What the plug-in finds in its environment, and all of it: nothing of ours, and enough for `#!/usr/bin/env`. */
const environment = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" };

export type Command = readonly [binary: string, ...args: readonly string[]];

/** What is spawned, and with what around it. */
export interface Launch {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: { readonly env: Readonly<Record<string, string>>; readonly cwd: "/"; readonly detached: true };
}

/** `sample` for `/usr/lib/mayfly/mayfly-provider-sample`. */
export function nameOf([binary]: Command): string {
  return basename(binary).replace("mayfly-provider-", "");
}

/**
 * Checks the binary, each time before it is started, and says how. The kernel kills the plug-in when our main thread is gone, however
 * that came about (PR_SET_PDEATHSIG), and it gains no privilege by what it executes (PR_SET_NO_NEW_PRIVS). Its process group is its
 * own, so that what it leaves behind can be ended too. Throws `config-invalid` or `environment-unfit`.
 */
export function launchOf([binary, ...args]: Command, verb: "describe" | "serve"): Launch {
  const flaw = binaryFlaw(binary, [0, process.geteuid?.() ?? 0]);
  if (flaw !== undefined) throw new BrokerError("config-invalid", `the provider ${binary} is not started: ${flaw}`);
  if (statsOf(setpriv) === undefined)
    throw new BrokerError("environment-unfit", `${setpriv} is missing, which ties a provider's life to the broker's`, {
      hint: "install util-linux",
    });
  const tied = ["--pdeathsig", "KILL", "--no-new-privs", "--", binary, ...args, verb];
  return { file: setpriv, args: tied, options: { env: environment, cwd: "/", detached: true } };
}

/** Whoever may write what runs as the broker, is the broker. Every folder on the way counts, also on the way that links lead. */
function binaryFlaw(binary: string, owners: readonly number[]): string | undefined {
  const stats = statsOf(binary);
  if (stats === undefined) return "there is no such file";
  if (!stats.isFile()) return "not a plain file (a symbolic link does not count)";
  const flaw = ownerFlaw(stats, owners);
  if (flaw !== undefined) return flaw;
  const folder = [...new Set([...above(binary), ...above(realpathSync(binary))])]
    .map((path) => ({ path, why: folderFlaw(path, owners) }))
    .find(({ why }) => why !== undefined);
  if (folder !== undefined) return `the folder ${folder.path} ${folder.why}`;
  return isExecutable(binary) ? undefined : "the broker's user may not execute it";
}

function ownerFlaw({ uid, mode }: Stats, owners: readonly number[]): string | undefined {
  if (!owners.includes(uid)) return `belongs to user ${uid}; it must belong to root or to the broker's user`;
  if ((mode & 0o022) !== 0) return "can be written by others; take that right away with chmod go-w";
  return undefined;
}

/** A link in the way has its target looked at beside it. A sticky folder such as `/tmp` lets only an entry's owner replace it. */
function folderFlaw(path: string, owners: readonly number[]): string | undefined {
  const stats = statsOf(path);
  if (stats === undefined) return "cannot be read";
  if (!stats.isDirectory() || (owners.includes(stats.uid) && (stats.mode & 0o1000) !== 0)) return undefined;
  return ownerFlaw(stats, owners);
}

function above(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...above(parent)];
}

function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
