/**
 * What sandboxd, and whatever it starts, keeps of root's power (capabilities(7)), each with what needs it. The rest is gone for good
 * before its first line runs: it loads no kernel module, sets no clock, opens no raw socket or port, and reads no other's log. A job
 * has none of these: its user namespace begins with a set of its own, which the runtime empties.
 */
const kept = {
  chown: "what a job is given becomes its user's: pipes, credentials, an overlay's upper layer",
  dac_override: "workspaces and jobs' groups belong to others",
  fowner: "what a job's user owns is removed",
  fsetid: "an overlay copies a folder's setgid bit with it",
  kill: "a job's processes are another user's",
  setfcap: "an id map may hold uid 0 (user_namespaces(7)): the trial job's, where memory knows no mapped mounts",
  setgid: "id maps are written for a job's user namespace",
  setuid: "the same",
  sys_admin: "mounts and namespaces",
  sys_chroot: "runc joins the mount namespace of its own child",
  sys_ptrace: "and opens it, that child being undumpable",
} as const;

/** As setpriv(1) takes it. */
export const boundingSet: string = ["-all", ...Object.keys(kept).map((name) => `+${name}`)].join(",");
