import { spawnSync } from "node:child_process";
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Code } from "../../src/errors.ts";
import { openJob, runIn, runner, sh, startWorld, type World, whyNotHere } from "./fixture.ts";

const other = { uid: 54_999, gid: 54_999 };

describe.each(["crun", "runc"])("a workspace on a file system without mapped mounts, with %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));

  it("makes the job's user the owner, and nobody else of the host", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mayfly-ramfs-"));
    spawnSync("mount", ["-t", "ramfs", "none", folder]);
    try {
      mkdirSync(`${folder}/project`);
      chownSync(`${folder}/project`, runner.uid, runner.gid);
      await using world = await startWorld({ runtime, workspaces: [folder] });
      const files = [{ credential: "db", name: "user", content: "bob" }];
      const script =
        'echo made >file; cat /run/mayfly/credentials/db/user; awk \'{print $1, ($2 < 65536 ? "host" : "range"), $3}\' /proc/self/uid_map; echo anew >/dev/stdout';
      const { stdout, stderr } = await sh(world, script, { workspace: `${folder}/project`, files });
      expect([stderr, stdout]).toEqual(["", "bob0 range 1000\n1000 host 1\n1001 range 64535\nanew\n"]);
      expect(statSync(`${folder}/project/file`)).toMatchObject(runner);
      const overlaid = await sh(world, "cat file; echo changed >file; cat file", {
        workspace: `${folder}/project`,
        mode: "overlay",
      });
      expect(overlaid.stdout).toBe("made\nchanged\n");
      const { findings } = await world.sandboxes.status();
      expect(findings.find(({ name }) => name === "workspace ids")).toMatchObject({ state: "lacking" });
    } finally {
      spawnSync("umount", [folder]);
      rmSync(folder, { recursive: true });
    }
  });
});

describe.each(["crun", "runc"])("a workspace, with %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  beforeAll(async () => {
    if (reason !== undefined) return;
    world = await startWorld({ runtime });
    const builds = `${world.folder}/builds`;
    for (const name of ["others", "real/below", "outside"]) mkdirSync(`${builds}/${name}`, { recursive: true });
    for (const name of ["real", "real/below"]) chownSync(`${builds}/${name}`, runner.uid, runner.gid);
    chownSync(`${builds}/others`, other.uid, other.gid);
    symlinkSync("real", `${builds}/link`);
    writeFileSync(`${builds}/file`, "");
    chownSync(`${builds}/file`, runner.uid, runner.gid);
    mkdirSync(`${world.folder}/builds-beside`);
    chownSync(`${world.folder}/builds-beside`, runner.uid, runner.gid);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it.each<[string, (folder: string) => string, Code]>([
    ["of another user", (folder) => `${folder}/builds/others`, "workspace-owner"],
    ["that is a link", (folder) => `${folder}/builds/link`, "workspace-symlink"],
    ["behind a link", (folder) => `${folder}/builds/link/below`, "workspace-symlink"],
    ["that is not there", (folder) => `${folder}/builds/none`, "workspace-missing"],
    ["that is a file", (folder) => `${folder}/builds/file`, "workspace-missing"],
    ["beside the root", (folder) => `${folder}/builds-beside`, "workspace-outside"],
    ["that is the root itself", (folder) => `${folder}/builds`, "workspace-outside"],
    ["reached by ..", (folder) => `${folder}/builds/../builds-beside`, "workspace-outside"],
    ["with a . in it", (folder) => `${folder}/builds/./real`, "workspace-outside"],
    ["with a doubled slash", (folder) => `${folder}/builds//real`, "workspace-outside"],
    ["named relatively", () => "builds/real", "workspace-outside"],
    ["that is empty", () => "", "workspace-outside"],
    ["with a zero byte", (folder) => `${folder}/builds/real\0/x`, "workspace-outside"],
    ["of the system", () => "/etc", "workspace-outside"],
  ])("%s is refused", async (_, path, code) => {
    await expect(openJob(world, { workspace: path(world.folder) })).rejects.toMatchObject({ code });
    expect((await world.sandboxes.status()).running).toBe(0);
  });

  it.each(["real", "real/below", "project"])("%s below the root is mounted", async (name) => {
    const { stdout } = await sh(world, "pwd", { workspace: `${world.folder}/builds/${name}` });
    expect(stdout).toBe("/workspace\n");
  });

  it("gives what the job wrote to the runner's user, who can read and delete all of it", async () => {
    await sh(
      world,
      "mkdir -p deep/er && echo made >deep/er/file && chmod 700 deep && chmod 600 deep/er/file && ln -s file deep/er/link",
    );
    expect(statSync(`${world.workspace}/deep/er/file`)).toMatchObject(runner);
    const asRunner = (...command: string[]) =>
      spawnSync("setpriv", ["--reuid", String(runner.uid), "--regid", String(runner.gid), "--clear-groups", ...command], {
        encoding: "utf8",
      });
    expect(asRunner("cat", `${world.workspace}/deep/er/file`).stdout).toBe("made\n");
    expect(asRunner("rm", "-r", `${world.workspace}/deep`).status).toBe(0);
    expect(readdirSync(world.workspace)).not.toContain("deep");
  });

  it("shows the runner's files as the job's own", async () => {
    writeFileSync(`${world.workspace}/given`, "given\n", { mode: 0o600 });
    chownSync(`${world.workspace}/given`, runner.uid, runner.gid);
    const { stdout } = await sh(world, "stat -c %u:%g given; cat given; echo more >>given && echo written");
    expect(stdout).toBe("1000:1000\ngiven\nwritten\n");
  });

  it("keeps a file of another user closed to the job", async () => {
    writeFileSync(`${world.workspace}/closed`, "x", { mode: 0o600 });
    const { stdout } = await sh(world, "cat closed 2>/dev/null || echo refused");
    expect(stdout).toBe("refused\n");
  });

  it("read-only: nothing can be written", async () => {
    const { stdout } = await sh(world, "touch new 2>/dev/null && echo written || echo refused; ls | wc -l", {
      mode: "read-only",
    });
    expect(stdout).toMatch(/^refused\n[1-9]/);
  });

  it("overlay: the job may change everything, and the runner's files stay as they were", async () => {
    writeFileSync(`${world.workspace}/kept`, "old\n");
    chownSync(`${world.workspace}/kept`, runner.uid, runner.gid);
    const { stdout, stderr } = await sh(world, "echo new >kept && cat kept && touch added && rm -f given && ls", {
      mode: "overlay",
    });
    expect(stderr).toBe("");
    expect(stdout.split("\n")[0]).toBe("new");
    expect(stdout).toContain("added");
    expect(spawnSync("cat", [`${world.workspace}/kept`], { encoding: "utf8" }).stdout).toBe("old\n");
    expect(readdirSync(world.workspace)).not.toContain("added");
    expect(readdirSync(world.workspace)).toContain("given");
  });

  it("overlay: what the job adds is limited", async () => {
    const { stdout } = await sh(world, "head -c 100000000 /dev/zero >big 2>/dev/null; stat -c %s big", {
      mode: "overlay",
      isolation: { memory: 2 ** 27 },
    });
    expect(Number(stdout)).toBeLessThanOrEqual(2 ** 25);
  });

  it("is the folder that was opened, whatever is put in its place before the job starts", async () => {
    const path = `${world.folder}/builds/swapped`;
    mkdirSync(path);
    chownSync(path, runner.uid, runner.gid);
    await using sandbox = await openJob(world, { workspace: path, command: ["sh", "-c", "ls; echo mine >written"] });
    renameSync(path, `${path}.away`);
    symlinkSync("/etc", path);
    const { stdout } = await runIn(sandbox);
    expect(stdout).toBe("");
    expect(readdirSync(`${path}.away`)).toEqual(["written"]);
    rmSync(path);
  });

  it("is never entered through a link while somebody swaps it in a loop", async () => {
    const path = `${world.folder}/builds/racing`;
    mkdirSync(`${path}/project`, { recursive: true });
    for (const name of ["", "/project"]) chownSync(path + name, runner.uid, runner.gid);
    const racer = `while :; do mv ${path} ${path}.a && ln -s ${world.folder}/builds/others ${path}; rm -f ${path}; mv ${path}.a ${path}; done`;
    mkdirSync(`${world.folder}/builds/others/project`, { recursive: true });
    const { spawn } = await import("node:child_process");
    const swapping = spawn("sh", ["-c", racer], { stdio: "ignore" });
    const outcomes = new Set<string>();
    for (let round = 0; round < 40; round += 1) {
      try {
        const sandbox = await openJob(world, { workspace: `${path}/project` });
        outcomes.add("opened");
        await sandbox.remove();
      } catch (error) {
        outcomes.add(error instanceof Error && "code" in error ? String(error.code) : "other");
      }
    }
    swapping.kill("SIGKILL");
    for (const outcome of outcomes) expect(["opened", "workspace-symlink", "workspace-missing"]).toContain(outcome);
  });
});
