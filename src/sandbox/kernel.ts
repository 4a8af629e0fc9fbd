import type { Socket } from "node:net";
import koffi from "koffi";

/**
 * The few system calls that Node has no function for. Each is named here with the reason we need it, and nowhere else in
 * Mayfly's sandbox is a foreign function called. Numbers at and above 424 are the same on every architecture.
 */
const libc = koffi.load(null);

const number = { openTree: 428, moveMount: 429, openat2: 437, mountSetattr: 442 } as const;

type Argument = number | string | ArrayBufferView;

const call = {
  openat2: bound("syscall", "long", ["long", "int", "str", "void *", "size_t"]),
  openTree: bound("syscall", "long", ["long", "int", "str", "uint"]),
  moveMount: bound("syscall", "long", ["long", "int", "str", "int", "str", "uint"]),
  mountSetattr: bound("syscall", "long", ["long", "int", "str", "uint", "void *", "size_t"]),
  mount: bound("mount", "int", ["str", "str", "str", "ulong", "str"]),
  umount2: bound("umount2", "int", ["str", "int"]),
  pipe2: bound("pipe2", "int", ["void *", "int"]),
  eventfd: bound("eventfd", "int", ["uint", "int"]),
  prctl: bound("prctl", "int", ["int", "ulong", "ulong", "ulong", "ulong"]),
  getrlimit: bound("getrlimit", "int", ["int", "void *"]),
  setrlimit: bound("setrlimit", "int", ["int", "void *"]),
  getsockopt: bound("getsockopt", "int", ["int", "int", "int", "void *", "void *"]),
};

/** koffi's functions are untyped; their arguments are checked against the C types given here, at each call. */
function bound(name: string, result: string, types: string[]): (...given: readonly Argument[]) => number {
  const foreign: unknown = libc.func(name, result, types);
  return (...given) => (typeof foreign === "function" ? Number(Reflect.apply(foreign, undefined, given)) : -1);
}

/** A refusal by the kernel; `errno` by its number, since the callers act on it. */
export class KernelError extends Error {
  override readonly name = "KernelError";
  readonly errno: number;

  constructor(what: string, errno: number) {
    super(`${what}: errno ${errno}`);
    this.errno = errno;
  }
}

export const errno = { ENOENT: 2, EACCES: 13, ENOTDIR: 20, EINVAL: 22, ENOSYS: 38, ELOOP: 40, EXDEV: 18, EPERM: 1 } as const;

function checked(what: string, result: number): number {
  if (result < 0) throw new KernelError(what, koffi.errno());
  return result;
}

const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const O_CLOEXEC = 0o2000000;
/** RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH (openat2(2)). */
const beneathWithoutLinks = 0x02 | 0x04 | 0x08;

/** Opens a directory below another, no component of the path being a symbolic link; the caller closes it. */
export function openBeneath(directory: number, path: string): number {
  const how = new BigUint64Array([BigInt(O_PATH | O_DIRECTORY | O_CLOEXEC), 0n, BigInt(beneathWithoutLinks)]);
  return checked("openat2", call.openat2(number.openat2, directory, path, how, how.byteLength));
}

const AT_EMPTY_PATH = 0x1000;
const AT_FDCWD = -100;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/** With the mounts below it, or that one alone. */
export type Depth = "whole" | "alone";

const recursion = { whole: AT_RECURSIVE, alone: 0 } as const;

/** A private copy of the mount behind an open file or directory, attached nowhere yet: no path is resolved again. */
export function cloneMount(open: number, depth: Depth): number {
  const flags = AT_EMPTY_PATH | OPEN_TREE_CLONE | O_CLOEXEC | recursion[depth];
  return checked("open_tree", call.openTree(number.openTree, open, "", flags));
}

export function attachMount(mount: number, target: string): void {
  checked("move_mount", call.moveMount(number.moveMount, mount, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
}

/** MOUNT_ATTR_* of mount_setattr(2). */
export const mountAttribute = { readOnly: 0x01, noSuid: 0x02, noDev: 0x04 } as const;

/** Sets flags on a cloned mount, as deep as it was cloned. */
export function setMountAttributes(mount: number, set: number, depth: Depth): void {
  setAttributes(mount, AT_EMPTY_PATH | recursion[depth], [BigInt(set), 0n, 0n, 0n]);
}

/** The mount takes on the mapping of an open user namespace. EINVAL where its file system knows no such thing. */
export function mapMount(mount: number, userNamespace: number): void {
  const MOUNT_ATTR_IDMAP = 0x100000n;
  setAttributes(mount, AT_EMPTY_PATH, [MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(userNamespace)]);
}

/** `struct mount_attr`: to set, to clear, propagation, user namespace. */
function setAttributes(mount: number, flags: number, attributes: readonly bigint[]): void {
  const packed = new BigUint64Array(attributes);
  checked("mount_setattr", call.mountSetattr(number.mountSetattr, mount, "", flags, packed, packed.byteLength));
}

/** MS_* of mount(2). */
export const mountFlag = { noSuid: 2, noDev: 4, noExec: 8 } as const;

/** A file system of no device: tmpfs, overlay. */
export function mount(type: string, target: string, flags: number, data: string): void {
  checked(`mount ${type}`, call.mount(type, target, type, flags, data));
}

/** Detaches at once; what still holds the mount open keeps it until it lets go. */
export function unmount(target: string): void {
  const MNT_DETACH = 2;
  const UMOUNT_NOFOLLOW = 8;
  checked("umount2", call.umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW));
}

/**
 * A real pipe. Node's own stdio "pipes" are socket pairs, through which a job cannot open /dev/stdout (nodejs/node#21941).
 * Both ends close on exec; spawn duplicates the one it hands over.
 */
export function pipe(): { readonly read: number; readonly write: number } {
  const ends = new Int32Array(2);
  checked("pipe2", call.pipe2(ends, O_CLOEXEC));
  return { read: ends[0] ?? -1, write: ends[1] ?? -1 };
}

/** A counter that the kernel raises, read without waiting; used for cgroup v1's word on memory exhaustion. */
export function eventCounter(): number {
  const EFD_NONBLOCK = 0o4000;
  return checked("eventfd", call.eventfd(0, EFD_NONBLOCK | O_CLOEXEC));
}

/** Keeps core dumps, ptrace and /proc/PID/mem of this process from everyone but root. */
export function makeUndumpable(): void {
  const PR_SET_DUMPABLE = 4;
  checked("prctl", call.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

/** RLIMIT_* numbers that are the same on x86_64 and arm64. */
export const resource = { core: 4, openFiles: 7 } as const;

export interface Limit {
  readonly soft: bigint;
  readonly hard: bigint;
}

export function limitOf(which: number): Limit {
  const pair = new BigUint64Array(2);
  checked("getrlimit", call.getrlimit(which, pair));
  return { soft: pair[0] ?? 0n, hard: pair[1] ?? 0n };
}

/** Only ever lowers: raising needs CAP_SYS_RESOURCE, which a container's root often lacks. */
export function lowerLimit(which: number, to: bigint): void {
  const { hard } = limitOf(which);
  const limit = to < hard ? to : hard;
  checked("setrlimit", call.setrlimit(which, new BigUint64Array([limit, limit])));
}

export interface SocketPeer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The kernel's word on who is at the other end of a Unix socket (unix(7), SO_PEERCRED), as of its connect(2). */
export function peerOf(socket: Socket): SocketPeer {
  const SOL_SOCKET = 1;
  const SO_PEERCRED = 17;
  const credentials = new Uint32Array(3);
  checked("getsockopt", call.getsockopt(descriptorOf(socket), SOL_SOCKET, SO_PEERCRED, credentials, new Uint32Array([12])));
  const [pid = 0, uid = nobody, gid = nobody] = credentials;
  return { pid, uid, gid };
}

/** What the kernel answers where there is no peer: (uid_t) -1. */
const nobody = 0xffff_ffff;

/** Node shows it on the handle only. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, "_handle");
  const descriptor: unknown = typeof handle === "object" && handle !== null ? Reflect.get(handle, "fd") : undefined;
  return typeof descriptor === "number" ? descriptor : -1;
}
