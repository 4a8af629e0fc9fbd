import { closeSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import koffi from "koffi";
import type { Peer } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import { cgroupOf } from "./peer-cgroup.ts";

/*
 * Who is at the other end of a Unix socket is known to the kernel alone: SO_PEERCRED gives uid, gid and pid as they were at
 * connect(2), and nothing that the peer sends can change them (unix(7)). Node offers no call for it (libuv issues 2255 and 2268),
 * hence this one native call; koffi's prebuilt library needs no install script. It is loaded with this module, before `serve`
 * gives up its uid and may no longer read its own folder.
 */
const getsockopt: unknown = koffi
  .load(null)
  .func("int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *size)");

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;

/** A word has four bytes here, whatever it holds: a pid, a uid, a gid, a descriptor. */
const word = 4;

/** The peer's user and process. Throws `internal` where the kernel does not say: a caller without a name is nobody. */
export function credentialsOf(socket: Socket): Pick<Peer, "uid" | "gid" | "pid"> {
  const [pid, uid, gid] = asked(socket, SO_PEERCRED, 3) ?? [];
  if (pid === undefined || uid === undefined || gid === undefined) throw unknown("SO_PEERCRED failed");
  if (uid === nobody) throw unknown("SO_PEERCRED knows no uid for this socket");
  if (uid === overflow && !seesEveryUser()) throw unknown("a user namespace hides whose uid it is, as it does of many");
  return { uid, gid, pid };
}

/** The same, and its control group; that costs as much as a call, so it comes after what may turn the peer away. */
export function peerOf(socket: Socket): Peer {
  return { ...credentialsOf(socket), cgroup: cgroupAt(socket) };
}

/** The peer's supplementary groups, as they were at connect(2). Throws `internal` where the kernel does not say. */
export function groupsOf(socket: Socket): readonly number[] {
  const groups = asked(socket, SO_PEERGROUPS, mostGroups);
  if (groups === undefined) throw unknown("SO_PEERGROUPS failed");
  return groups;
}

/** What the kernel says for each of the users that a user namespace does not know (user_namespaces(7)): all of them would be one. */
const overflow = Number(readFileSync("/proc/sys/kernel/overflowuid", "latin1"));

function seesEveryUser(): boolean {
  return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync("/proc/self/uid_map", "latin1"));
}

/** (uid_t) -1, which the kernel gives for a socket that has no peer. */
const nobody = 0xffff_ffff;

/** NGROUPS_MAX: no process has more. */
const mostGroups = 65_536;

/** A kernel before Linux 6.5 hands out no pidfd; without one nothing about the peer's process is certain. */
function cgroupAt(socket: Socket): string | undefined {
  const [pidfd] = asked(socket, SO_PEERPIDFD, 1) ?? [];
  if (pidfd === undefined) return undefined;
  try {
    return cgroupOf(pidfd);
  } finally {
    closeSync(pidfd);
  }
}

/** What the kernel says about the other end, at most so many words of it; undefined where it refuses. */
function asked(socket: Socket, option: number, most: number): readonly number[] | undefined {
  const value = Buffer.alloc(most * word);
  const size = [value.length];
  const answer: unknown =
    typeof getsockopt === "function"
      ? Reflect.apply(getsockopt, undefined, [descriptorOf(socket), SOL_SOCKET, option, value, size])
      : -1;
  const [bytes = 0] = size;
  if (answer !== 0 || bytes % word !== 0) return undefined;
  return [...new Uint32Array(value.buffer, value.byteOffset, bytes / word)];
}

/** Node shows a socket's descriptor on its handle only. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  const descriptor: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  if (typeof descriptor !== "number" || descriptor < 0) throw unknown("the socket has no descriptor");
  return descriptor;
}

function unknown(detail: string): BrokerError {
  return new BrokerError("internal", undefined, { detail });
}
