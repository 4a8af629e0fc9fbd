import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** What the kernel says that one process is and may do, in names instead of numbers. */
export type Facts = Readonly<Record<string, string | readonly string[]>>;

/** How this host's numbers and paths are called. */
export interface Names {
  readonly accounts: (id: number) => string;
  /** A path with what differs from run to run replaced. */
  readonly path: (path: string) => string;
  /** Whose namespace it is, by /proc/PID/ns; `undefined` for the host's. */
  readonly namespace: (link: string) => string | undefined;
}

export function factsOf(pid: number, names: Names): Facts {
  const status = statusOf(`/proc/${pid}`);
  return {
    user: accounts([...status.ids("Uid"), ...status.ids("Gid")], names).join(", "),
    groups: accounts(status.ids("Groups"), names),
    capabilities: capabilities(status.word("CapEff")),
    "bounding set": capabilities(status.word("CapBnd")),
    "ambient set": capabilities(status.word("CapAmb")),
    "no new privileges": status.word("NoNewPrivs") === "1" ? "yes" : "no",
    seccomp: status.word("Seccomp") === "2" ? "filtered" : "none",
    "memory is open to": readersOf(pid, status.ids("Uid")[1] ?? 0),
    "core limit": coreLimitOf(pid),
    descriptors: descriptorsOf(pid, names),
    environment: environmentOf(pid),
    namespaces: namespacesOf(pid, names),
    threads: threadsOf(pid),
  };
}

interface Status {
  word(name: string): string;
  ids(name: string): readonly number[];
}

function statusOf(folder: string): Status {
  const text = readFileSync(`${folder}/status`, "utf8");
  const word = (name: string) => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(text)?.[1] ?? "";
  return { word, ids: (name) => word(name).split(/\s+/).filter(Boolean).map(Number) };
}

function accounts(ids: readonly number[], names: Names): readonly string[] {
  return [...new Set(ids.map(names.accounts))].toSorted();
}

/** capability(7), by bit. */
const capabilityNames = (
  "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin " +
  "net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time " +
  "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon " +
  "bpf checkpoint_restore"
).split(" ");

const everything = statusOf("/proc/self").word("CapBnd");

/** `all` is what this host gives to root, be it a container that withholds some. */
function capabilities(mask: string): string | readonly string[] {
  const bits = BigInt(`0x${mask}`);
  if (bits === 0n) return "none";
  if (mask === everything) return "all";
  return capabilityNames.filter((_, bit) => (bits >> BigInt(bit)) % 2n === 1n).toSorted();
}

/** The kernel gives what is in /proc/PID of a process that is not dumpable to root (proc(5)). */
function readersOf(pid: number, uid: number): string {
  if (uid === 0) return "root";
  return statSync(`/proc/${pid}/environ`).uid === uid ? "root and its own user" : "root";
}

function coreLimitOf(pid: number): string {
  const [, soft = "", hard = ""] = /^Max core file size +(\S+) +(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8")) ?? [];
  const own = /^Max core file size +(\S+) +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  return soft === own[1] && hard === own[2] ? "as it was started" : `${soft} of at most ${hard}`;
}

function environmentOf(pid: number): readonly string[] {
  const variables = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").filter(Boolean);
  return variables.map((variable) => variable.split("=")[0] ?? "").toSorted();
}

function namespacesOf(pid: number, names: Names): readonly string[] {
  const kinds = { mnt: "mount", pid: "pid", net: "network", user: "user", ipc: "ipc", uts: "host name", cgroup: "cgroup" };
  return Object.entries(kinds).flatMap(([kind, name]) => {
    const whose = names.namespace(readlinkSync(`/proc/${pid}/ns/${kind}`));
    return whose === undefined ? [] : [`${name}: ${whose}`];
  });
}

/** A thread may have an identity of its own, whatever the process shows. */
function threadsOf(pid: number): string {
  const fields = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"];
  const identities = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = statusOf(`/proc/${pid}/task/${thread}`);
    return fields.map((field) => status.word(field)).join("|");
  });
  return new Set(identities).size === 1 ? "all alike" : "not alike";
}

/** Every kind of descriptor once. What the tests' own process holds at the same number was inherited from whoever started them. */
function descriptorsOf(pid: number, names: Names): readonly string[] {
  const foreign = new Set(descriptors(process.pid).map(({ number, link }) => `${number} ${link}`));
  const own = descriptors(pid).filter(({ number, link }) => !foreign.has(`${number} ${link}`));
  const kinds = own.map(({ link }) => kindOf(link, pid, names));
  // Connections to upstreams come and go.
  return [...new Set(kinds)].filter((kind) => kind !== "tcp connection").toSorted();
}

function descriptors(pid: number): readonly { readonly number: string; readonly link: string }[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((number) => {
    try {
      return [{ number, link: readlinkSync(`/proc/${pid}/fd/${number}`) }];
    } catch {
      return [];
    }
  });
}

function kindOf(link: string, pid: number, names: Names): string {
  const [, kind = "", inode = ""] = /^([a-z_]+):\[?([^\]]*)\]?$/.exec(link) ?? [];
  if (kind === "") return names.path(link);
  if (kind === "anon_inode") return inode;
  if (kind === "user") return "user namespace";
  return kind === "socket" ? socketOf(inode, pid, names) : kind;
}

/** A socket keeps the network namespace it was made in, which may be the host's or the process's own. */
function socketOf(inode: string, pid: number, names: Names): string {
  const lines = (table: string) => ["self", pid].flatMap((of) => readFileSync(`/proc/${of}/net/${table}`, "utf8").split("\n"));
  const unix = lines("unix")
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => fields[6] === inode);
  if (unix !== undefined) return unixSocket({ flags: Number(`0x${unix[3]}`), path: unix[7] }, names);
  const tcp = ["tcp", "tcp6"]
    .flatMap(lines)
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => fields[9] === inode);
  if (tcp === undefined) return "socket of an unknown kind";
  return tcp[3] === "0A" ? "tcp, listening" : "tcp connection";
}

function unixSocket({ flags, path }: { readonly flags: number; readonly path: string | undefined }, names: Names): string {
  const accepting = 0x10000;
  if (path === undefined) return "unix connection";
  return `${(flags & accepting) === 0 ? "connection to" : "listening at"} ${names.path(path)}`;
}
