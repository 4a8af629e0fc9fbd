import { execFileSync } from "node:child_process";
import process from "node:process";
import type { Access } from "./api/access.ts";
import type { Sockets } from "./api/server.ts";
import type { Config } from "./config.ts";
import { BrokerError } from "./errors.ts";

/** A user as the kernel knows it, with the groups that its process keeps. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** By name through the name service (`getent`), or a number that needs no entry: then its group has the same number. */
export function accountOf(user: string | number): Account {
  if (typeof user === "number") return { uid: user, gid: user };
  const [, , uid, gid] = entryOf("passwd", user).split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

export function groupIdOf(group: string | number): number {
  return typeof group === "number" ? group : Number(entryOf("group", group).split(":")[2]);
}

/** Whom the sockets are for. Names are looked up here, once, when the broker starts. */
export function socketsOf({ run, sockets }: Config): Sockets {
  const { group, broker, audit, control } = sockets;
  return { folder: run, group, broker: accessOf(broker), audit: accessOf(audit), control: accessOf(control) };
}

function accessOf({ group, allow_uids: users, allow_groups: groups }: Config["sockets"]["broker"]): Access {
  if (users === undefined && groups === undefined) return { group };
  const uids = (users ?? []).map((user) => accountOf(user).uid);
  return { group, allow: { uids, groups: (groups ?? []).map(groupIdOf) } };
}

function entryOf(database: "passwd" | "group", name: string): string {
  try {
    return execFileSync("getent", [database, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch (cause) {
    const [kind, command] = database === "passwd" ? ["user", "useradd"] : ["group", "groupadd"];
    const hint = `${command} --system ${name}, or write a number into mayfly.yaml`;
    throw new BrokerError("config-invalid", `this host has no ${kind} named ${name}`, { hint, cause });
  }
}

/**
 * Becomes that user for good, in every thread (glibc's setuid reaches them all; libuv's pool included), and keeps only the
 * groups given. Leaving uid 0 clears every capability, and the kernel makes the process non-dumpable: nobody but root can
 * read its memory (credentials(7), prctl(2) PR_SET_DUMPABLE).
 */
export function become({ uid, gid }: Account, groups: readonly number[]): void {
  process.setgroups?.([...groups]);
  process.setgid?.(gid);
  process.setuid?.(uid);
  if (process.geteuid?.() !== uid || process.getgid?.() !== gid) {
    throw new BrokerError("environment-unfit", "the broker could not give up its privileges");
  }
}
