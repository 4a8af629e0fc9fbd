import type { Peer } from "../contract.ts";
import type { Group } from "./socket-file.ts";

/** Who may use one socket. */
export interface Access {
  /** Whose members the file's mode lets in. */
  readonly group: Group;
  /** Of those, only these users; left out, all of them. */
  readonly allow?: Allowed;
}

/** In numbers: names are looked up once, when the broker starts, so that no later change of /etc/passwd lets anybody in. */
export interface Allowed {
  readonly uids: readonly number[];
  readonly groups: readonly number[];
}

/**
 * By the kernel's word alone. Root is not let in by itself: it can become any user of its host, so this keeps it from nothing, but a
 * list that names who may come in would not be one if others could. `groups` asks for the peer's supplementary groups.
 */
export function isAllowed(allow: Allowed | undefined, { uid, gid }: Peer, groups: () => readonly number[]): boolean {
  if (allow === undefined || allow.uids.includes(uid)) return true;
  return allow.groups.length > 0 && [gid, ...groups()].some((group) => allow.groups.includes(group));
}
