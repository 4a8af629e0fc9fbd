import { spawnSync } from "node:child_process";
import process from "node:process";
import { boundingSet } from "./capabilities.ts";
import { deadInstances, homeOf, type Instance, instanceOf } from "./instance.ts";
import { janitorScript } from "./janitor.ts";

/**
 * Where sandboxd lives: a mount namespace in which its secrets' tmpfs is invisible to the host, a pid namespace whose end
 * (by any death of sandboxd) makes the kernel kill every job in it, and a network namespace with no network. Namespaces are
 * entered, and all of root's power but a few capabilities is given up, before Node starts: a running process can only change one of its threads.
 *
 * The outer shell keeps the process id that `serve` knows and hands on its exit code. Descriptor 7 is the janitor's lifeline: the shell lets go of
 * it, so that only the inside of the nest holds it. Should the shell be killed, tini dies of it (-p), and with it the nest.
 */
const outerScript = `
instance=$1 home=$2 janitor=$3 inner=$4; shift 4
mkdir -m 0711 "$home" && mkfifo -m 0600 "$home/lifeline" || exit 126
setsid sh -c "$janitor" mayfly-janitor "$instance" "$home" watch <"$home/lifeline" >/dev/null 2>&1 &
exec 7>"$home/lifeline"
rm -f "$home/lifeline"
exec 9</proc/self/ns/mnt
exec unshare --mount --propagation private --pid --net -- sh -c "$inner" mayfly-nest "$@"
`;

/**
 * Mounts nothing where the namespace is still the host's, which descriptor 9 holds: the next line would cover the host's own /proc.
 * Until then there is no fork either, since the first child becomes the new pid namespace's init.
 */
const innerScript = `
[ /proc/self/ns/mnt -ef /proc/self/fd/9 ] && exit 125
exec 8<&0 9<&-
sh -c 'mount -t proc -o nosuid,nodev,noexec proc /proc && exec "$@"' mayfly-init "$@" <&8 8<&- &
child=$!
exec 7>&- 8<&-
trap 'kill -TERM "$child"' TERM INT HUP
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
exit "$code"
`;

/** sudo may hand on a core limit of 0, at which a handler behind a pipe still runs (core(5)); going up to 1 takes what `setpriv` gives up. */
const limitScript = 'ulimit -c 1 2>/dev/null; exec "$@"';

/**
 * Becomes the nest: this process is replaced, keeping its id, stdin, stdout and stderr, and `inner` runs inside with the
 * instance's name as its last argument. What earlier instances left is cleared away first.
 */
export function enterNest(tini: string, inner: readonly string[]): never {
  for (const dead of deadInstances()) clearAway(dead);
  const instance = instanceOf(process.pid);
  const command = [tini, "-p", "SIGKILL", "--", ...inner, instance];
  const script = ["sh", "-c", outerScript, "mayfly-nest", instance, homeOf(instance), janitorScript, innerScript, ...command];
  const few = ["env", "sh", "-c", limitScript, "mayfly-limits", "setpriv", "--bounding-set", boundingSet, ...script];
  process.execve?.("/usr/bin/env", few, { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" });
  throw new Error("execve came back");
}

function clearAway(instance: Instance): void {
  spawnSync("/bin/sh", ["-c", janitorScript, "mayfly-janitor", instance, homeOf(instance), "now"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
}
