/*
 * What a job may try. Each probe is a shell line that prints one word or line; run in a job it must print what `inside` accepts,
 * run in a weak sandbox (root on the host, in a mount namespace of its own) it must print something else: a probe that cannot
 * tell the two apart proves nothing.
 */

export interface Probe {
  readonly name: string;
  readonly script: string;
  readonly inside: RegExp;
}

const x64 = process.arch === "x64";

/** perl is in every Debian; the calls by number, so that no library stands between. Prints 0 or the errno. Arguments are perl's. */
function syscall(
  name: string,
  numbers: { readonly x64: number; readonly arm64: number },
  ...args: readonly (number | string)[]
): Probe {
  const list = [x64 ? numbers.x64 : numbers.arm64, ...args];
  return {
    name: `${name} is refused`,
    script: `perl -e '$! = 0; my $r = syscall(${list.join(", ")}); print $r >= 0 ? 0 : $! + 0, "\n"'`,
    inside: /^(1|38)$/,
  };
}

const CLONE_NEWUSER = 0x1000_0000;

export const probes: readonly Probe[] = [
  { name: "no effective capability", script: "grep CapEff /proc/self/status", inside: /^CapEff:\s+0{16}$/ },
  { name: "no bounding capability", script: "grep CapBnd /proc/self/status", inside: /^CapBnd:\s+0{16}$/ },
  { name: "no new privileges", script: "grep NoNewPrivs /proc/self/status", inside: /1$/ },
  { name: "a seccomp filter", script: "grep Seccomp: /proc/self/status", inside: /2$/ },
  { name: "uid 1000", script: "id -u", inside: /^1000$/ },
  {
    name: "no host id in the uid map",
    script: 'awk \'{print ($2 >= 65536 ? "range" : "host")}\' /proc/self/uid_map',
    inside: /^range$/,
  },
  { name: "no group of the host", script: "id -G", inside: /^1000$/ },
  { name: "only loopback", script: "awk -F: 'NR > 2 {print $1}' /proc/net/dev | tr -d ' \\n'; echo", inside: /^lo$/ },
  { name: "no route", script: "wc -l </proc/net/route", inside: /^1$/ },
  { name: "unshare", script: "unshare -Ur true 2>&1 | grep -o 'not permitted' || echo made", inside: /^not permitted$/ },
  {
    name: "mount",
    script: "mount -t tmpfs x /mnt 2>&1; mount -t tmpfs x /tmp 2>/dev/null && echo mounted || echo refused",
    inside: /refused$/,
  },
  syscall("unshare(CLONE_NEWUSER)", { x64: 272, arm64: 97 }, CLONE_NEWUSER),
  syscall("unshare(CLONE_NEWNET)", { x64: 272, arm64: 97 }, 0x4000_0000),
  syscall("keyctl", { x64: 250, arm64: 219 }, 0, -3, 0),
  syscall("ptrace(TRACEME)", { x64: 101, arm64: 117 }, 0, 0, 0, 0),
  syscall("perf_event_open of nothing", { x64: 298, arm64: 241 }, 0, 0, 0, 0, 0),
  syscall("memfd_secret", { x64: 447, arm64: 447 }, 0),
  syscall("kcmp", { x64: 312, arm64: 272 }, "$$", "$$", 0, 0, 0),
  syscall("name_to_handle_at", { x64: 303, arm64: 264 }, -1, 0, 0, 0, 0),
  syscall("userfaultfd", { x64: 323, arm64: 282 }, 1),
  syscall("io_uring_setup", { x64: 425, arm64: 425 }, 1, 0),
  syscall("bpf", { x64: 321, arm64: 280 }, 0, 0, 0),
  syscall("open_tree", { x64: 428, arm64: 428 }, -100, 0, 0),
  syscall("fsopen", { x64: 430, arm64: 430 }, 0, 0),
  syscall("setns", { x64: 308, arm64: 268 }, 0, 0),
  syscall("process_vm_readv", { x64: 310, arm64: 270 }, 1, 0, 0, 0, 0, 0),
  syscall("personality(READ_IMPLIES_EXEC)", { x64: 135, arm64: 92 }, 0x040_0000),
  syscall("socket(AF_NETLINK)", { x64: 41, arm64: 198 }, 16, 3, 0),
  syscall("socket(AF_VSOCK)", { x64: 41, arm64: 198 }, 40, 1, 0),
  syscall("socket(AF_ALG)", { x64: 41, arm64: 198 }, 38, 5, 0),
  syscall("socket(AF_PACKET)", { x64: 41, arm64: 198 }, 17, 3, 0),
  {
    name: "a setuid file cannot be made",
    script: "touch f$$; chmod u+s f$$ 2>/dev/null; [ -u f$$ ] && echo setuid || echo plain; rm -f f$$",
    inside: /^plain$/,
  },
  {
    name: "a setgid file cannot be made",
    script: "touch h$$; chmod g+s h$$ 2>/dev/null; [ -g h$$ ] && echo setgid || echo plain; rm -f h$$",
    inside: /^plain$/,
  },
  {
    name: "a setuid file cannot be created",
    script: `perl -e 'sysopen(F, "g$$", 0101, 04755); print -u "g$$" ? "setuid\\n" : "plain\\n"; unlink "g$$"'`,
    inside: /^plain$/,
  },
  {
    name: "no device can be made",
    script: "mknod d$$ c 1 1 2>/dev/null && echo made || echo refused; rm -f d$$",
    inside: /^refused$/,
  },
  {
    name: "kallsyms is masked",
    script: 'wc -c </proc/kallsyms | awk \'{print ($1 > 0 ? "seen" : "masked")}\'',
    inside: /^masked$/,
  },
  { name: "keys are masked", script: "test -s /proc/key-users && echo seen || wc -c </proc/key-users", inside: /^0$/ },
  {
    name: "/proc/sys is read-only",
    script: "test -w /proc/sys/kernel/core_pattern && echo writable || echo locked",
    inside: /^locked$/,
  },
  { name: "no /sys", script: "ls /sys/kernel 2>/dev/null | head -1 | wc -l", inside: /^0$/ },
  {
    name: "the root is read-only",
    script: "touch /x$$ 2>/dev/null && echo written || echo locked; rm -f /x$$",
    inside: /^locked$/,
  },
  {
    name: "/usr is read-only",
    script: "touch /usr/x$$ 2>/dev/null && echo written || echo locked; rm -f /usr/x$$",
    inside: /^locked$/,
  },
  { name: "no shadow file", script: "test -e /etc/shadow && echo there || echo absent", inside: /^absent$/ },
  { name: "no home of the host's root", script: "test -e /root && echo there || echo absent", inside: /^absent$/ },
  {
    name: "few processes are seen",
    script: "ls /proc | grep -c '^[0-9]' | awk '{print ($1 < 9 ? \"own\" : \"host\")}'",
    inside: /^own$/,
  },
  { name: "no device of the host", script: "ls /dev | grep -cE '^(sd|vd|nvme|loop|mem|kmsg|kvm|fuse)' || true", inside: /^0$/ },
  { name: "core files are cut to one block", script: "ulimit -c", inside: /^0$/ },
  { name: "a host name of our own", script: "uname -n", inside: /^job$/ },
];
