import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { catalogue } from "../providers/catalogue.ts";
import type { Io } from "../src/commands/io.ts";
import { readTemplates } from "../src/commands/templates.ts";
import { loadConfig, settings } from "../src/config.ts";
import { systemClock } from "../src/time.ts";

type Unit = ReadonlyMap<string, readonly string[]>;

/** systemd.syntax(7), strictly: sections, assignments, comments and nothing else. Keys are `Section.Key`. */
function readUnit(path: string): Unit {
  const unit = new Map<string, string[]>();
  let section = "";
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const [, heading, key, value] = /^(?:\[([A-Z][A-Za-z]+)\]|([A-Z][A-Za-z]+)=(.*)|[#;].*|)$/.exec(line) ?? [
      undefined,
      undefined,
      "BROKEN",
    ];
    if (key === "BROKEN" || (key !== undefined && section === ""))
      throw new Error(`${path}: cannot read ${JSON.stringify(line)}`);
    section = heading ?? section;
    if (key !== undefined) unit.set(`${section}.${key}`, [...(unit.get(`${section}.${key}`) ?? []), value ?? ""]);
  }
  return unit;
}

function service(unit: Unit, key: string): string | undefined {
  return unit.get(`Service.${key}`)?.join(" ");
}

const broker = readUnit("deploy/mayfly.service");
const sandboxd = readUnit("deploy/mayfly-sandboxd.service");

describe("the broker's unit leaves it no privilege, no swap and no core file", () => {
  test.each([
    ["User", "mayfly"],
    ["UMask", "0077"],
    ["StateDirectoryMode", "0700"],
    ["RuntimeDirectoryMode", "0750"],
    ["MemorySwapMax", "0"],
    ["LimitCORE", "1"],
    ["NoNewPrivileges", "yes"],
    ["CapabilityBoundingSet", ""],
    ["AmbientCapabilities", ""],
    ["ProtectSystem", "strict"],
    ["ProtectHome", "yes"],
    ["PrivateTmp", "yes"],
    ["PrivateDevices", "yes"],
    ["RestrictNamespaces", "yes"],
  ])("%s=%s", (key, value) => {
    expect(service(broker, key)).toBe(value);
  });
});

describe("sandboxd's unit holds all of its jobs, and all of it ends together", () => {
  test.each([
    ["User", "root"],
    ["Delegate", "yes"],
    ["PrivateMounts", "yes"],
    ["KillMode", "control-group"],
    ["PrivateNetwork", "yes"],
    ["MemorySwapMax", "0"],
    ["LimitCORE", "1"],
  ])("%s=%s", (key, value) => {
    expect(service(sandboxd, key)).toBe(value);
  });

  test.each(["SystemCallFilter", "RestrictAddressFamilies", "NoNewPrivileges", "ProtectKernelTunables", "ProtectProc"])(
    "and %s, which would bind or break every job, is not set",
    (key) => expect(service(sandboxd, key)).toBeUndefined(),
  );

  test("its socket is where the broker looks for it", () => {
    const { run } = loadConfig("deploy/mayfly.yaml", settings({}));
    expect(service(sandboxd, "ExecStart")).toContain(` --socket ${run}-sandboxd/sandboxd.sock `);
    expect(`/run/${service(sandboxd, "RuntimeDirectory")}`).toBe(`${run}-sandboxd`);
  });
});

test("systemd itself finds no fault with the units", (context) => {
  const analyze = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"].find((path) => runs(path));
  if (analyze === undefined) context.skip("this host cannot run systemd-analyze");
  const folder = mkdtempSync(join(tmpdir(), "mayfly-units-"));
  try {
    const names = ["mayfly.service", "mayfly-sandboxd.service"];
    // It wants the programs to exist, and this host has no package of ours.
    for (const name of names)
      writeFileSync(
        join(folder, name),
        readFileSync(join("deploy", name), "utf8")
          .replaceAll("/usr/bin/mayfly", "/bin/true")
          .replaceAll(/^Documentation=.*\n/gm, ""),
      );
    const said = output(analyze ?? "", ["verify", "--man=no", ...names.map((name) => join(folder, name))]);
    expect(said.split("\n").filter((line) => line.includes("mayfly"))).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function runs(path: string): boolean {
  return output(path, ["--version"]).startsWith("systemd");
}

/** Both streams of a program that may fail or be absent. */
function output(path: string, args: readonly string[]): string {
  try {
    return execFileSync("sh", ["-c", '"$0" "$@" 2>&1', path, ...args], { encoding: "utf8" });
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : "";
  }
}

describe("users and folders", () => {
  const lines = (path: string) =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));

  test("every group that the configuration gives a socket to is made, and the broker is in it", () => {
    const { sockets, user } = loadConfig("deploy/mayfly.yaml", settings({}));
    const made = lines("deploy/sysusers.d/mayfly.conf");
    for (const socket of Object.values(sockets)) {
      const group = typeof socket === "object" ? socket.group : socket;
      expect(
        made.some((line) => new RegExp(`^g ${group} +-$`).test(line)),
        `${group} is made`,
      ).toBe(true);
      expect(
        made.some((line) => group === user || new RegExp(`^m ${user} +${group}$`).test(line)),
        `${user} is in ${group}`,
      ).toBe(true);
    }
  });

  test("the broker cannot change its own configuration", () => {
    const folders = lines("deploy/tmpfiles.d/mayfly.conf").map((line) => line.split(/ +/));
    expect(folders.map(([, path, mode, user]) => [path, mode, user])).toEqual([
      ["/etc/mayfly", "0750", "root"],
      ["/etc/mayfly/templates", "0750", "root"],
      ["/var/lib/mayfly", "0700", "mayfly"],
    ]);
  });
});

test("the sample configuration loads, and the sample template compiles against it", async () => {
  const config = loadConfig("deploy/mayfly.yaml", settings({}));
  const io: Io = {
    env: {},
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    cwd: process.cwd(),
    uid: process.getuid?.() ?? 0,
    clock: systemClock,
    onSignal: () => undefined,
    exit: () => undefined,
  };
  const compiled = await readTemplates(io, () => Promise.resolve(catalogue), { config, folder: "deploy/templates" });
  expect(compiled).toMatchObject({ kind: "policy" });
});

test("the reader of units is strict: what it does not know is an error", () => {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-units-"));
  const path = join(folder, "x.service");
  try {
    for (const text of [
      "Key=before any section\n",
      "[Service]\nkey with blanks=1\n",
      "[Service]\nUser = mayfly\n",
      "[service]\n",
    ]) {
      writeFileSync(path, text);
      expect(() => readUnit(path)).toThrow("cannot read");
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
