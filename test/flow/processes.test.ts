import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import golden from "../golden/processes.json" with { type: "json" };
import { type Facts, factsOf, type Names } from "./process-table.ts";
import { processesOf } from "./process-tree.ts";
import { asUser, reachOf, type Tries } from "./reach.ts";
import { templates } from "./templates.ts";
import { Host, startUpstreams, type Upstreams, until, users } from "./world.ts";

/*
 * What each process may do, by the kernel's own account, against test/golden/processes.json: a value and its reason for each entry.
 * The golden file is never written by a program: who changes a process's powers changes the line and says why.
 */

let upstreams: Upstreams;
let host: Host;
let processes: ReadonlyMap<string, number>;

beforeAll(async () => {
  // What this run handed on would stand in the environment of each.
  delete process.env["NODE_COMPILE_CACHE"];
  upstreams = await startUpstreams();
  host = await Host.create(upstreams, templates);
  const workspace = host.workspace();
  host.spawnRunner(
    [
      "run",
      "--token",
      host.give(await host.token()),
      "--template",
      "migrate",
      "--",
      "sh",
      "-c",
      "touch started; exec sleep 600",
    ],
    {
      cwd: workspace,
      env: { CI: "true", AWS_SECRET_ACCESS_KEY: "of-the-runner" },
    },
  );
  await until(() => readdirSync(workspace).includes("started"), 20_000);
  await until(() => {
    processes = processesOf(host.broker.pid);
    return processes.has("job");
  }, 5_000);
}, 120_000);

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await upstreams?.[Symbol.asyncDispose]();
});

type Entry = readonly [value: unknown, because: string];
type Table = Readonly<Record<string, Entry>>;

const table: { readonly processes: Readonly<Record<string, Table>>; readonly reach: Table } = JSON.parse(
  JSON.stringify(golden),
);

function pidOf(role: string): number {
  const pid = processes.get(role);
  if (pid === undefined) throw new Error(`no process is ${role}`);
  return pid;
}

/** One fact a line, so that a difference reads as what changed; the golden file's reason stands beside its line. */
function lines(facts: Facts | Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(facts).map(
    ([fact, value]) => `${fact}: ${Array.isArray(value) ? value.join(", ") || "none" : String(value)}`,
  );
}

function values(entries: Table): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(entries).map(([name, [value]]) => [name, value]));
}

function names(): Names {
  const nest = namespacesOf(pidOf("sandboxd"));
  const job = namespacesOf(pidOf("job"));
  const hosts = namespacesOf(process.pid);
  const known = new Map<number, string>([
    [0, "root"],
    [users.broker, "broker"],
    [users.runner, "runner"],
    [users.group, "sockets"],
    [users.auditors, "auditors"],
    [users.responders, "responders"],
  ]);
  const rules: readonly (readonly [RegExp, string])[] = [
    [/\/run\/mayfly-sandboxd\.[0-9-]+/, "NEST"],
    [/run-[0-9a-f]{25}/, "RUN"],
    [new RegExp(`^${host.folder}/run-sandboxd`), "SANDBOXD"],
    [new RegExp(`^${host.run}`), "SOCKETS"],
    [new RegExp(`^${host.state}`), "STATE"],
    // A socket is bound under a passing name and renamed once its mode is set.
    [/\.([a-z]+\.sock)\.[0-9a-f]{6}$/, "$1"],
  ];
  return {
    accounts: (id) => known.get(id) ?? (id >= 0x7000_0000 ? "job" : String(id)),
    path: (path) => rules.reduce((named, [rule, name]) => named.replace(rule, name), path),
    namespace: (link) =>
      hosts.has(link) ? undefined : nest.has(link) ? "the nest's" : job.has(link) ? "the job's" : "of its own",
  };
}

function namespacesOf(pid: number): ReadonlySet<string> {
  return new Set(readdirSync(`/proc/${pid}/ns`).map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`)));
}

describe("the golden table of what each process may do", () => {
  test("has every process of a broker with one running job, and no other", () => {
    expect([...processes.keys()].toSorted()).toEqual(Object.keys(table.processes).toSorted());
  });

  test.for(Object.keys(table.processes))("is what the kernel says of %s", (role, { skip }) => {
    if (role === "runtime" && !readFileSync(`/proc/${pidOf(role)}/cmdline`, "utf8").includes("/crun\0"))
      skip("this host cannot run crun, whose descriptors the table has");
    expect(lines(factsOf(pidOf(role), names()))).toEqual(lines(values(table.processes[role] ?? {})));
  });

  test.for(["serve", "sandboxd"])("does not change when SIGUSR1 asks %s for Node's inspector", async (role) => {
    process.kill(pidOf(role), "SIGUSR1");
    await sleep(500);
    expect(lines(factsOf(pidOf(role), names()))).toEqual(lines(values(table.processes[role] ?? {})));
  });

  test("gives a reason for each entry", () => {
    const entries = [...Object.values(table.processes), table.reach].flatMap(Object.entries) as readonly (readonly [
      string,
      Entry,
    ])[];
    expect(entries.filter(([, [, because]]) => typeof because !== "string" || because.length < 4)).toEqual([]);
  });
});

describe("what each user can reach", () => {
  test("is what the golden table says, by trying", async () => {
    const groups = [users.group, users.auditors, users.responders];
    const jobUser = Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pidOf("job")}/status`, "utf8"))?.[1]);
    const actors: Readonly<Record<string, Tries>> = {
      "the broker's user": asUser(users.broker, [users.broker, ...groups]),
      "the runner": asUser(users.runner, [users.group]),
      "a stranger": asUser(users.stranger, []),
      "the job's user, outside its sandbox": asUser(jobUser, []),
      "a job": (script, attempts) => withinJob(script, attempts),
    };
    const places = placesOf();
    const attempts = Object.keys(table.reach).map((line) => placed(line, places));
    const reached = await reachOf(attempts, actors);
    const found = Object.keys(table.reach).map((line) => [line, reached.get(placed(line, places))] as const);
    expect(lines(Object.fromEntries(found))).toEqual(lines(values(table.reach)));
  }, 60_000);

  test("has every file of the state", () => {
    const listed = Object.keys(table.reach).flatMap((line) => /^read STATE\/(.*)$/.exec(line)?.[1] ?? []);
    expect(listed.toSorted()).toEqual(readdirSync(host.state).toSorted());
  });
});

async function withinJob(script: string, attempts: readonly string[]): Promise<string> {
  const { stdout, stderr, code } = await host.runJob(["--template", "local", "--", "perl", "-e", script, ...attempts]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

/** The golden table's words for places, as they are on this host. Processes are named by where /proc shows them. */
function placesOf(): ReadonlyMap<string, string> {
  const proc = (role: string) => `/proc/${pidOf(role)}`;
  return new Map([
    ["STATE", host.state],
    ["SOCKETS", host.run],
    ["SANDBOXD", `${host.run}-sandboxd`],
    ["CONFIG", host.config],
    ["TEMPLATES", join(host.folder, "templates")],
    ["WORKSPACE", join(host.folder, "builds/job-1")],
    ["proc(serve)", proc("serve")],
    ["proc(sandboxd)", proc("sandboxd")],
    ["proc(runtime)", proc("runtime")],
    ["proc(job)", proc("job")],
  ]);
}

function placed(line: string, places: ReadonlyMap<string, string>): string {
  return [...places].reduce((text, [word, place]) => text.replace(word, place), line);
}
