/**
 * Which system calls a job may make, as data. Anything that is not listed answers ENOSYS, so that a C library falls back as it
 * would on an older kernel; what an attack would reach for answers EPERM, so that a person reads why. Only the machine's own
 * 64-bit calls exist: another ABI's number means another call, and such a program is killed.
 *
 * A job cannot make a file setuid or setgid: on the host its files belong to the runner, so whoever ran such a file there would
 * become that user or group. Nor can it make a folder setgid (systemd's RestrictSUIDSGID= closes the same doors).
 *
 * Narrower than Docker's and Podman's default, which let a job without capabilities make a user namespace and mount in it,
 * watch other processes, and use the kernel's keyrings and io_uring (measured; reference: `man 7 capabilities`, seccomp(2)).
 */
const allowed = {
  files: `access chdir chown close close_range copy_file_range dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
    fchdir fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync
    ftruncate futimesat getcwd getdents getdents64 getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown
    lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat newfstatat pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr rename renameat
    renameat2 rmdir sendfile setxattr splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask
    unlink unlinkat utime utimensat utimes vmsplice write writev`,
  waiting: `alarm epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 futex futex_requeue futex_wait futex_waitv futex_wake getitimer io_cancel io_destroy io_getevents io_pgetevents io_setup
    io_submit nanosleep pause pipe pipe2 poll ppoll pselect6 select setitimer signalfd signalfd4 timer_create timer_delete
    timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime`,
  memory: `brk cachestat madvise membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap
    pkey_alloc pkey_free pkey_mprotect remap_file_pages`,
  processes: `arch_prctl capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getegid geteuid
    getgid getgroups getpgid getpgrp getpid getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get
    ioprio_set kill landlock_add_rule landlock_create_ruleset landlock_restrict_self pidfd_open pidfd_send_signal prctl prlimit64
    process_mrelease restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
    set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority setregid setresgid
    setresuid setreuid setrlimit setsid setuid sigaltstack tgkill times tkill uname vfork wait4 waitid`,
  clocks: "clock_getres clock_gettime clock_nanosleep getrandom gettimeofday sysinfo time",
  talking: `accept accept4 bind connect getpeername getsockname getsockopt listen mq_getsetattr mq_notify mq_open mq_timedreceive
    mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd recvfrom recvmmsg recvmsg semctl semget semop semtimedop sendmmsg sendmsg
    sendto setsockopt shmat shmctl shmdt shmget shutdown socketpair`,
} as const;

/** New namespaces and mounts, other processes' memory, kernel keys, kernel code, handles around the mount table, the machine itself. */
const refused = `unshare setns mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr
  ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd keyctl add_key request_key bpf perf_event_open userfaultfd
  io_uring_setup io_uring_enter io_uring_register memfd_secret open_by_handle_at name_to_handle_at fanotify_init fanotify_mark
  init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct quotactl quotactl_fd syslog sethostname
  setdomainname settimeofday clock_settime clock_adjtime adjtimex iopl ioperm modify_ldt vhangup lookup_dcookie nfsservctl`;

const EPERM = 1;
const ENOSYS = 38;
/** Every CLONE_NEW* flag of clone(2); clone3 hides its flags in memory, where no filter can look, and so is not listed at all. */
const newNamespaces = 0x7e020080;
const addressFamily = { unix: 1, inet: 2, inet6: 10 } as const;
const flag = { create: 0o100, temporary: 0o20000000, setIds: 0o6000 } as const;
/** Which argument is the mode, for each call that sets one. openat2 is not listed: it keeps its mode in memory, where no filter can look. */
const modeArgument = {
  chmod: 1,
  fchmod: 1,
  fchmodat: 2,
  fchmodat2: 2,
  creat: 1,
  mknod: 1,
  mknodat: 2,
  open: 2,
  openat: 3,
} as const;
/** PER_LINUX and the question which one is set; never READ_IMPLIES_EXEC or ADDR_NO_RANDOMIZE. */
const personalities = [0, 0xffffffff] as const;

export type Architecture = "x64" | "arm64";

interface Rule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: string;
  }[];
}

export interface SeccompProfile {
  readonly defaultAction: "SCMP_ACT_ERRNO";
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly Rule[];
}

export function seccompProfile(architecture: Architecture): SeccompProfile {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: ENOSYS,
    architectures: [architecture === "x64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"],
    syscalls: [
      { names: Object.values(allowed).flatMap(words), action: "SCMP_ACT_ALLOW" },
      { names: words(refused), action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      whenUnset("clone", 0, newNamespaces),
      ...Object.entries(modeArgument).map(([name, index]) => whenUnset(name, index, flag.setIds)),
      whenUnset("open", 1, flag.create | flag.temporary),
      whenUnset("openat", 2, flag.create | flag.temporary),
      ...Object.values(addressFamily).map((family) => whenFirst("socket", family)),
      ...personalities.map((value) => whenFirst("personality", value)),
    ],
  };
}

/** Allowed while none of the bits is set in that argument. */
function whenUnset(name: string, index: number, bits: number): Rule {
  return { names: [name], action: "SCMP_ACT_ALLOW", args: [{ index, value: bits, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] };
}

function whenFirst(name: string, value: number): Rule {
  return { names: [name], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value, op: "SCMP_CMP_EQ" }] };
}

function words(text: string): readonly string[] {
  return text.trim().split(/\s+/);
}
