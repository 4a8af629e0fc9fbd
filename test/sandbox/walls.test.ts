import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { runner, startWorld, whyNotHere } from "./fixture.ts";
import { instanceOf, nodeOf } from "./traces.ts";

describe("sandboxd's own walls", () => {
  const reason = whyNotHere("crun");
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  it("are closed to every other user: its socket, its memory, its descriptors, its mounts", async () => {
    await using world = await startWorld();
    const node = nodeOf(world);
    const asRunner = (command: string) =>
      spawnSync(
        "setpriv",
        ["--reuid", String(runner.uid), "--regid", String(runner.gid), "--clear-groups", "sh", "-c", command],
        { encoding: "utf8" },
      );
    for (const path of ["mem", "environ", "root/run", "fd", "maps"]) {
      expect(asRunner(`ls /proc/${node}/${path}/ 2>&1; head -c 1 /proc/${node}/${path}`).status, path).not.toBe(0);
    }
    const connect = `perl -MIO::Socket::UNIX -e 'exit(IO::Socket::UNIX->new(Peer => "${world.folder}/sandboxd.sock") ? 0 : 1)'`;
    expect(asRunner(connect).status).toBe(1);
    expect(spawnSync("sh", ["-c", connect]).status).toBe(0);
    spawnSync("chmod", ["666", `${world.folder}/sandboxd.sock`]);
    const talk = `perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => "${world.folder}/sandboxd.sock") or exit 1; syswrite $s, "PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0"; exit(sysread($s, $b, 9) ? 0 : 1)'`;
    expect(asRunner(talk).status).not.toBe(0);
    expect(spawnSync("sh", ["-c", talk]).status).toBe(0);
  });

  it("keep its memory mount out of the host's sight", async () => {
    await using world = await startWorld();
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(`mayfly-sandboxd.${instanceOf(world)}`);
    const status = readFileSync(`/proc/${nodeOf(world)}/limits`, "utf8");
    expect(status).toMatch(/Max core file size +1 +1 /);
  });
});
