import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Secret } from "../../src/secret.ts";
import { sh, startWorld, type World, whyNotHere } from "./fixture.ts";
import { probes } from "./probes.ts";

const together = probes.map(({ script }, index) => `echo "=${index}"; (${script}) 2>&1`).join("\n");

function answersOf(output: string): readonly string[] {
  return output
    .split(/^=[0-9]+\n/m)
    .slice(1)
    .map((answer) => answer.trim());
}

/** Root in namespaces of its own, and nothing else: what a careless sandbox gives. */
function weakAnswers(): readonly string[] {
  const { stdout } = spawnSync(
    "unshare",
    ["--mount", "--propagation", "private", "sh", "-c", `cd /tmp; ulimit -c unlimited; ${together}`],
    { encoding: "latin1" },
  );
  return answersOf(stdout);
}

describe.each(["crun", "runc"])("inside a job of %s", (runtime) => {
  const reason = whyNotHere(runtime);
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  let world: World;
  let inside: readonly string[] = [];
  beforeAll(async () => {
    if (reason !== undefined) return;
    world = await startWorld({ runtime });
    inside = answersOf((await sh(world, together)).stdout);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  it.each(probes.map((probe, index) => ({ ...probe, index })))("$name", ({ inside: accepted, index }) => {
    expect(inside[index]).toMatch(accepted);
  });

  it("has the allowed variables, and no other", async () => {
    const environment = {
      CI: "true",
      GITHUB_TOKEN: "ghs_1",
      ACTIONS_ID_TOKEN_REQUEST_URL: "http://mint",
      LD_PRELOAD: "/x.so",
      HOME: "/root",
      OTHER: "1",
    };
    const { stdout } = await sh(world, "env | cut -d= -f1 | sort | tr '\\n' ' '", {
      environment,
      isolation: { environment: { pass: ["CI", "GITHUB_*", "ACTIONS_*", "LD_*", "HOME"] } },
    });
    expect(stdout.trim().split(" ")).toEqual([
      "CI",
      "HOME",
      "LANG",
      "MAYFLY",
      "MAYFLY_CREDENTIALS",
      "MAYFLY_WORKSPACE",
      "PATH",
      "PWD",
      "TINI_VERBOSITY",
      "USER",
    ]);
  });

  it("has three descriptors, and stdout can be opened anew", async () => {
    const { stdout, stderr } = await sh(world, "ls /proc/1/fd; echo anew >/dev/stdout; echo err >/dev/stderr");
    expect(stdout).toBe("0\n1\n2\nanew\n");
    expect(stderr).toBe("err\n");
  });

  it("finds a secret in its files only: in no environment and no argument", async () => {
    const secret = Secret.of("p4ssw0rd-of-the-job-9f2c");
    const script = `
      cat /run/mayfly/credentials/db/password | tr 'a-z' 'A-Z'; echo
      for p in /proc/[0-9]*; do cat $p/environ $p/cmdline 2>/dev/null; done | tr '\\0' '\\n' | grep -c 'p4ssw0rd[-]of'; cat /run/mayfly/credentials/db/password`;
    const { stdout } = await sh(world, script, {
      secrets: [secret],
      files: [{ credential: "db", name: "password", content: secret }],
    });
    // The first line shows that the job could read it: a form that the masker does not know.
    expect(stdout.split("\n")).toEqual(["P4SSW0RD-OF-THE-JOB-9F2C", "0", "***"]);
  });

  it("cannot change, add to or remove its credentials", async () => {
    const files = [{ credential: "db", name: "user", content: "bob" }];
    const script =
      "cd /run/mayfly/credentials/db; for c in 'echo x >user' 'rm -f user' 'touch new' 'chmod 600 user' 'mkdir d'; do sh -c \"$c\" 2>/dev/null && echo done || echo refused; done; stat -Lc %a user";
    const { stdout } = await sh(world, script, { files });
    expect(stdout.trim().split("\n")).toEqual([...Array<string>(5).fill("refused"), "400"]);
  });

  it("runs what builds run: git, perl, python, a shell with pipes", async () => {
    const { stdout, stderr, exit } = await sh(
      world,
      "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline | wc -l; perl -e 'print 6*7, qq(\\n)'; python3 -c 'import threading as t; x = t.Thread(target=print, args=(\"thread\",)); x.start(); x.join()'; mkfifo p && (echo fifo >p & cat p); mktemp -d >/dev/null && touch ~/x && echo home",
    );
    expect(stderr).toBe("");
    expect(stdout.trim().split("\n")).toEqual(["1", "42", "thread", "fifo", "home"]);
    expect(exit).toMatchObject({ kind: "exited", code: 0 });
  });
});

describe("the probes have teeth", () => {
  const reason = whyNotHere("crun");
  beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
  const weak = reason === undefined ? weakAnswers() : [];
  it.each(probes.map((probe, index) => ({ ...probe, index })))("weak: $name", ({ inside: accepted, index }) => {
    expect(weak[index]).toBeDefined();
    expect(weak[index]).not.toMatch(accepted);
  });
});
