import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { BrokerError } from "../errors.ts";
import { tryRead } from "./cgroup-files.ts";

/** An OCI runtime's program, through its command line. */
export interface Runtime {
  readonly name: string;
  readonly path: string;
  readonly version: string;
}

/** What one run needs: all of it in sandboxd's private memory, since runtimes copy config.json into their own state. */
export interface RuntimeRun {
  readonly id: string;
  readonly bundle: string;
  readonly state: string;
  readonly log: string;
  readonly stdio: readonly number[];
}

/**
 * A foreground `run`: one child that passes signals on, gives the job's exit code and cleans up. create and start would lose the
 * exit code, and cannot fill a mount in a user namespace. Long options only: runsc knows no short ones.
 */
export function startRun(runtime: Runtime, run: RuntimeRun): ChildProcess {
  const options = ["--root", run.state, "--log", run.log, "--log-format", "json"];
  const [input, output, errors] = run.stdio;
  return spawn(runtime.path, [...options, "run", "--bundle", run.bundle, run.id], {
    cwd: run.bundle,
    env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    stdio: [input, output, errors],
  });
}

/** The runtime's own words on why it failed; empty where it did not. For the operator: it may name paths of the host. */
export function complaintOf(log: string): string {
  const errors = tryRead(log)
    .split("\n")
    .filter((line) => /"level" ?: ?"(error|fatal)"/.test(line));
  return errors.join("\n").slice(0, 2000);
}

const folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The first of these programs that is there, by its path. */
export function findProgram(...names: readonly string[]): string | undefined {
  const paths = names.flatMap((name) => (name.startsWith("/") ? [name] : folders.map((folder) => `${folder}/${name}`)));
  return paths.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Those that the configuration admits and this host has, best first; whether one works is for a real run to say. */
export function runtimeCandidates(wanted: string): readonly Runtime[] {
  const names = wanted === "auto" ? ["crun", "runc"] : [wanted];
  const found = names.flatMap((name) => findProgram(name) ?? []).map(describe);
  if (found.length > 0) return found;
  throw new BrokerError("environment-unfit", `no OCI runtime was found (looked for ${names.join(", ")})`, {
    hint: "install crun: apt-get install crun",
  });
}

function describe(path: string): Runtime {
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  const [, name = path, version = "unknown"] = /^(\S+) version (\S+)/.exec(stdout) ?? [];
  return { name, path, version };
}
