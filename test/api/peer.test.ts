import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { groupsOf, peerOf } from "../../src/api/peer.ts";
import { cgroupIn } from "../../src/api/peer-cgroup.ts";
import { cgroupTrees, HostCgroup } from "../host-cgroup.ts";

const asRoot = process.getuid?.() === 0;

describe("the control group in /proc/PID/cgroup", () => {
  const v1 = "12:pids:/x\n5:memory:/y\n1:name=systemd:";
  test.each([
    ["of version 2", "0::/system.slice/runner-1.service\n", "/system.slice/runner-1.service"],
    ["of version 2, at its root, beneath which everybody is", "0::/\n", undefined],
    ["of version 2, outside of our namespace", "0::/../runner-1.service\n", "/../runner-1.service"],
    ["of version 2, with a colon in its name", "0::/a:b/c\n", "/a:b/c"],
    ["of a hybrid host", `${v1}/system.slice/a.service\n0::/system.slice/a.service\n`, "/system.slice/a.service"],
    ["of a hybrid host whose unified tree is not used", `${v1}/system.slice/a.service\n0::/\n`, "/system.slice/a.service"],
    ["of a hybrid host, at its roots, as for a process that is about to end", `${v1}/\n0::/\n`, undefined],
    ["of version 1", `${v1}/user.slice\n`, "/user.slice"],
    ["of version 1, at its root", `${v1}/\n`, undefined],
    ["of version 1 without systemd", "12:pids:/x\n5:memory:/y\n", undefined],
    ["that was removed", "0::/a.scope (deleted)\n", undefined],
    ["whose name would move a cursor", "0::/a\u001b[2J\n", undefined],
    ["whose name is endless", `0::/${"a".repeat(1_024)}\n`, undefined],
    ["of a controller whose name begins like systemd's", "1:name=systemd2:/a\n", undefined],
    ["that is none", "", undefined],
  ])("%s", (_, text, expected) => {
    expect(cgroupIn(text)).toBe(expected);
  });
});

/** A socket on which whoever connects is looked at, at once or when it has gone. */
async function lookAt<T>(
  command: readonly string[],
  look: (socket: Socket) => T,
  onceGone?: (pid: number) => Promise<unknown>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-peer-"));
  await chmod(folder, 0o755);
  const path = join(folder, "s");
  const server = createServer({ allowHalfOpen: true });
  try {
    server.listen(path);
    await once(server, "listening");
    await chmod(path, 0o777);
    const [program = "", ...args] = command;
    const child = spawn(program, [...args, path], { stdio: "ignore" });
    const ended = once(child, "exit");
    const [socket] = (await once(server, "connection")) as [Socket];
    if (onceGone !== undefined) await ended.then(() => onceGone(child.pid ?? 0));
    const seen = look(socket);
    child.kill("SIGKILL");
    await ended;
    socket.destroy();
    return seen;
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
}

/** The kernel gives the next number that is free after this one. */
const lastPid = "/proc/sys/kernel/ns_last_pid";
const mayReusePids = asRoot && existsSync(lastPid);

/** A process in that group that was given this number, which nobody has any more. */
async function processOf(pid: number, group: HostCgroup): Promise<ChildProcess> {
  for (let tries = 0; tries < 50; tries += 1) {
    await writeFile(lastPid, String(pid - 1));
    const [program, ...args] = group.holding(["sh", "-c", "echo up; exec sleep 60"]);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
    await once(child.stdout, "data");
    if (child.pid === pid) return child;
    child.kill("SIGKILL");
  }
  throw new Error(`${pid} was not given out again`);
}

const stays = ["curl", "-s", "http://localhost/", "--unix-socket"];
const goes = ["curl", "-s", "-m", "0.2", "http://localhost/", "--unix-socket"];

describe("a peer", () => {
  test.skipIf(!asRoot)("is known by uid, gid, pid and its supplementary groups", async () => {
    const as = ["setpriv", "--reuid=61042", "--regid=61000", "--groups=61001,61002", ...stays];
    const { peer, groups } = await lookAt(as, (socket) => ({ peer: peerOf(socket), groups: groupsOf(socket) }));
    expect(peer).toMatchObject({ uid: 61_042, gid: 61_000, pid: expect.any(Number) });
    expect(groups).toEqual([61_001, 61_002]);
  });

  test.skipIf(!asRoot)("without supplementary groups has none", async () => {
    const as = ["setpriv", "--reuid=61042", "--regid=61000", "--clear-groups", ...stays];
    expect(await lookAt(as, groupsOf)).toEqual([]);
  });

  test.skipIf(cgroupTrees.length === 0).each(cgroupTrees)("is known by its control group in %s", async (tree) => {
    await using runner = new HostCgroup(tree, "runner");
    expect((await lookAt(runner.holding(stays), peerOf)).cgroup).toBe(runner.path);
  });

  test.skipIf(cgroupTrees.length === 0 || !mayReusePids)(
    "that has ended is in no control group, although its number is another process's now",
    async () => {
      await using other = new HostCgroup(cgroupTrees[0] ?? "", "other");
      let successor: ChildProcess | undefined;
      const seen = await lookAt(goes, peerOf, async (pid) => void (successor = await processOf(pid, other)));
      const now = await readFile(`/proc/${seen.pid}/cgroup`, "utf8");
      successor?.kill("SIGKILL");
      expect(now).toContain(other.path);
      expect(seen).toMatchObject({ pid: successor?.pid, cgroup: undefined });
    },
  );

  test.skipIf(!asRoot)("that a user namespace hides is nobody, since all whom it hides would be one", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mayfly-peer-"));
    await chmod(folder, 0o755);
    const path = join(folder, "s");
    const script = `
      import { chmodSync } from "node:fs";
      import { createServer } from "node:net";
      import { peerOf } from ${JSON.stringify(new URL("../../src/api/peer.ts", import.meta.url).href)};
      const asked = (socket) => { try { return "uid " + peerOf(socket).uid; } catch (error) { return error.detail; } };
      createServer((socket) => { console.log(asked(socket)); process.exit(); })
        .listen(${JSON.stringify(path)}, () => { chmodSync(${JSON.stringify(path)}, 0o777); console.log("up"); });`;
    const inside = spawn("unshare", ["-Ur", process.execPath, "--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      expect(String(await once(inside.stdout, "data"))).toBe("up\n");
      const answer = once(inside.stdout, "data");
      const caller = spawn("setpriv", ["--reuid=61402", "--regid=61402", "--clear-groups", ...goes, path], { stdio: "ignore" });
      expect(String(await answer)).toBe("a user namespace hides whose uid it is, as it does of many\n");
      await once(caller, "exit");
    } finally {
      inside.kill();
      await rm(folder, { recursive: true });
    }
  });

  test("keeps no descriptor open", async () => {
    const open = async (): Promise<number> => {
      const { stdout } = await promisify(execFile)("ls", [`/proc/${process.pid}/fd`]);
      return stdout.trim().split("\n").length;
    };
    const before = await open();
    await lookAt(stays, (socket) => Array.from({ length: 200 }, () => peerOf(socket)).length);
    expect(await open()).toBeLessThan(before + 20);
  });
});
