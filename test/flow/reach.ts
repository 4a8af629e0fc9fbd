import { spawn } from "node:child_process";
import { heard } from "./world.ts";

/** `read /a/file`, `write /a/file`, `create in /a/folder`, `connect to /a.sock`. */
export type Attempt = string;

/** Someone who tries: as a user of the host with these groups, or within a job. */
export type Tries = (script: string, attempts: readonly Attempt[]) => Promise<string>;

/** Tries each by the system call itself, leaves everything as it was, and prints the attempts that succeeded. */
export const probe = `
use Socket;
for my $attempt (@ARGV) {
  my ($what, $path) = $attempt =~ m{^([a-z ]+?) (/.*)$};
  my $done = 0;
  if ($what eq "read") { $done = -d $path ? opendir(my $d, $path) : open(my $f, "<", $path) }
  if ($what eq "write") { $done = sysopen(my $f, $path, 02001) }
  if ($what eq "create in") { $done = sysopen(my $f, "$path/probe-$$", 0301); unlink "$path/probe-$$" }
  if ($what eq "connect to") { socket(my $s, AF_UNIX, SOCK_STREAM, 0); $done = connect($s, pack_sockaddr_un($path)) }
  print "$attempt\\n" if $done;
}
`;

/** As a user of the host who is in these groups and has no capability. */
export function asUser(uid: number, groups: readonly number[]): Tries {
  const who = [`--reuid=${uid}`, `--regid=${uid}`, groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`];
  return async (script, attempts) => {
    const { stdout, stderr, code } = await heard(
      spawn("setpriv", [...who, "perl", "-e", script, ...attempts], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] }),
    );
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };
}

/** For each attempt, who succeeds. */
export async function reachOf(
  attempts: readonly Attempt[],
  actors: Readonly<Record<string, Tries>>,
): Promise<ReadonlyMap<Attempt, readonly string[]>> {
  const entries = await Promise.all(
    Object.entries(actors).map(async ([actor, tries]) => [actor, new Set((await tries(probe, attempts)).split("\n"))] as const),
  );
  return new Map(
    attempts.map((attempt) => [attempt, entries.flatMap(([actor, succeeded]) => (succeeded.has(attempt) ? [actor] : []))]),
  );
}
