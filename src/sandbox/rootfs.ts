import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { attachMount, cloneMount, mountAttribute, setMountAttributes } from "./kernel.ts";

/** A folder or file of the host that a job sees, and where sandboxd's own read-only mount of it is. */
export interface Shown {
  readonly source: string;
  readonly at: string;
}

/** A job's read-only root: a skeleton of our own, and what of the host's toolchain is shown in it. Shared by all jobs. */
export interface Root {
  readonly path: string;
  readonly shown: readonly Shown[];
}

/** Of the host's /etc only what compilers and TLS need; no user, host name, key or password of the host. */
const etc = [
  "alternatives",
  "ca-certificates",
  "crypto-policies",
  "fonts",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "os-release",
  "pki",
  "protocols",
  "services",
  "ssl",
];

/** Distributions keep a language's own settings in folders named for its version. */
const etcBeginning = ["java-", "perl", "python3"];

const ownFiles: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\njob:x:1000:1000:job:/home/job:/bin/sh\n",
  "etc/group": "root:x:0:\njob:x:1000:\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/hostname": "job\n",
  "etc/resolv.conf": "# a job has no network\nnameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
  "run/mayfly/init": "",
};

const folders = ["usr", "proc", "dev", "etc", "tmp", "home/job", "run/mayfly/credentials", "var/tmp", "workspace"];

/**
 * Builds the skeleton in `home`, and a read-only copy of each mount of the host that is shown in it: the flags are set here, by the
 * kernel's own word, and a user namespace locks them. Every place that something is mounted on exists before any runtime runs, so
 * that none needs to create one (the path races of runc's history: CVE-2021-30465, CVE-2025-31133).
 */
export function buildRoot(home: string, toolchain: readonly string[]): Root {
  const path = `${home}/root`;
  for (const folder of folders) makeFolder(`${path}/${folder}`);
  for (const [name, content] of Object.entries(ownFiles)) writeFileSync(`${path}/${name}`, content, { mode: 0o644 });
  // runc 1.1 gives a tmpfs the mode of the folder below it, whatever was asked (opencontainers/runc#3911).
  for (const name of ["tmp", "var/tmp"]) chmodSync(`${path}/${name}`, 0o1777);
  symlinkSync("/proc/self/mounts", `${path}/etc/mtab`);
  const wanted = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", ...etcPaths(), ...toolchain];
  return { path, shown: wanted.filter((name) => place(path, name)).map((name) => show(home, name)) };
}

/** A static init, shown alone at its own place, so that it is there whatever root a job has. */
export function showInit(home: string, init: string): string {
  return show(home, init).source;
}

/** Makes room for one path of the host. False where it needs no mount: it is a link, copied as one, or is not there. */
function place(root: string, path: string): boolean {
  const stats = statOf(path);
  if (stats === undefined) return false;
  if (stats.isSymbolicLink()) {
    symlinkSync(readlinkSync(path), `${root}${path}`);
    return false;
  }
  makePlace(`${root}${path}`, stats);
  return true;
}

function makePlace(path: string, stats: Stats): void {
  if (stats.isDirectory()) makeFolder(path);
  else writeFileSync(path, "", { mode: 0o644 });
}

function show(home: string, path: string): Shown {
  const open = openSync(path, "r");
  const tree = cloneMount(open, "whole");
  try {
    setMountAttributes(tree, mountAttribute.readOnly | mountAttribute.noSuid | mountAttribute.noDev, "whole");
    const source = `${home}/shown/${path.slice(1).replaceAll("/", "-")}`;
    makePlace(source, fstatSync(open));
    attachMount(tree, source);
    return { source, at: path };
  } finally {
    closeSync(tree);
    closeSync(open);
  }
}

function etcPaths(): readonly string[] {
  const wanted = (name: string) => etc.includes(name) || etcBeginning.some((beginning) => name.startsWith(beginning));
  return readdirSync("/etc")
    .filter(wanted)
    .map((name) => `/etc/${name}`);
}

/** mkdir's own mode is cut by the umask, and only the last folder of a recursive one gets it. */
function makeFolder(path: string): void {
  if (statOf(path) !== undefined) return;
  makeFolder(dirname(path));
  mkdirSync(path);
  chmodSync(path, 0o755);
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
