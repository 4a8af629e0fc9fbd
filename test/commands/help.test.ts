import { describe, expect, test } from "vitest";
import { mayfly } from "./shell.ts";

const verbs = [
  "run",
  "session start",
  "session end",
  "status",
  "audit list",
  "audit show",
  "audit verify",
  "audit receipt",
  "explain",
  "lease list",
  "lease revoke",
  "contain",
  "init",
  "check",
  "suggest",
  "schema",
  "keys show",
  "keys jwks",
  "keys publish",
  "keys rotate",
  "rotate",
  "keys refresh",
  "keys accept",
  "reload",
  "drain",
] as const;

describe("help", () => {
  test.each(verbs)("of %s says what it does, its usage and examples, on stdout, and exits with 0", async (verb) => {
    const { stdout, stderr, exit } = await mayfly([...verb.split(" "), "--help"]);
    expect([stderr, exit]).toEqual(["", 0]);
    expect(stdout).toContain(`Usage: mayfly ${verb} [options]`);
    expect(stdout).toMatch(/\n\n[A-Z][^\n]+[.\n]/);
    expect(stdout).toMatch(/\nExamples:\n {2}\$ [^\n]*mayfly /);
  });

  test.each(["", "session", "audit", "lease", "keys"])("of mayfly %s lists its verbs", async (group) => {
    const { stdout, exit } = await mayfly([...group.split(" ").filter(Boolean), "--help"]);
    expect(exit).toBe(0);
    for (const verb of verbs.filter((name) => name.startsWith(group)))
      expect(stdout).toContain(`  ${verb.slice(group.length).trim().split(" ")[0]} `);
  });

  test("is shown, as an error, where no verb was given", async () => {
    const { stdout, stderr, exit } = await mayfly([]);
    expect([stdout, exit]).toEqual(["", 124]);
    expect(stderr).toContain("Usage: mayfly [options] [command]");
  });

  test("names every code that mayfly exits with by itself", async () => {
    const { stdout } = await mayfly(["run", "--help"]);
    for (const code of [120, 121, 122, 123, 124, 125, 126, 127]) expect(stdout).toContain(String(code));
  });

  test("the version goes to stdout", async () => {
    expect(await mayfly(["--version"])).toEqual({ stdout: "0.1.0\n", stderr: "", exit: 0 });
  });
});

describe("a wrong command line", () => {
  const wrong: readonly (readonly [string, readonly string[], string])[] = [
    ["an unknown verb", ["frob"], "mayfly: unknown command 'frob'\n"],
    ["an unknown flag", ["status", "--frob"], "mayfly: unknown option '--frob'\n"],
    ["a change without why", ["contain", "all"], "mayfly: required option '--why <text>' not specified\n"],
    [
      "an index that is no number",
      ["audit", "show", "x"],
      "mayfly: command-argument value 'x' is invalid for argument 'index'. write a whole number\n",
    ],
    [
      "a lease's state that is none",
      ["lease", "list", "--state", "dead"],
      "mayfly: option '--state <state>' argument 'dead' is invalid",
    ],
    [
      "a session, and a token from stdin",
      ["run", "--session", "x", "--token", "-", "--", "true"],
      "mayfly: a run within a session takes no token from stdin: its stdin is the job's\n",
    ],
    ["nothing to explain", ["explain"], "mayfly: name a recorded id, or say --token-file, --claims or --expand\n"],
    ["a receipt without a key", ["audit", "verify", "x.tlog-proof"], "mayfly: a receipt is checked with a key\n"],
    [
      "a socket that no kernel opens",
      ["status", "--socket", `/${"a".repeat(200)}`],
      "mayfly: the path of the socket is too long",
    ],
    ["a change by nobody", ["drain", "--why", "x"], "mayfly: a change names who asks for it\n"],
  ];
  test.each(wrong)("%s is one line on stderr, nothing on stdout, and exit 124", async (_, args, line) => {
    const { stdout, stderr, exit } = await mayfly(args);
    expect([stdout, exit]).toEqual(["", 124]);
    expect(stderr.startsWith(line), stderr).toBe(true);
  });
});

describe("an error", () => {
  const unreachable = ["status", "--socket", "/nonexistent.sock"] as const;
  test("is coloured on a terminal only, and not with NO_COLOR", async () => {
    const plain = "mayfly: no broker answers on /nonexistent.sock (ENOENT)\nhint: ";
    expect((await mayfly(unreachable)).stderr.startsWith(plain)).toBe(true);
    expect((await mayfly(unreachable, { terminal: true })).stderr.startsWith("\u001B[1;31mmayfly:\u001B[0m no broker")).toBe(
      true,
    );
    expect((await mayfly(unreachable, { terminal: true, env: { NO_COLOR: "1" } })).stderr.startsWith(plain)).toBe(true);
  });

  test.each([
    ["status"],
    ["status", "--full"],
    ["audit", "list"],
    ["audit", "show", "0"],
    ["audit", "verify"],
    ["audit", "receipt", "0"],
    ["lease", "list"],
    ["lease", "revoke", "lse-1", "--who", "ann", "--why", "x"],
    ["contain", "all", "--who", "ann", "--why", "x"],
    ["reload", "--who", "ann", "--why", "x"],
    ["drain", "--who", "ann", "--why", "x"],
    ["explain", "den-1"],
    ["session", "end", "handle"],
    ["run", "--session", "handle", "--", "true"],
  ])("of %s %s without a broker is broker-unreachable: exit 126", async (...args) => {
    const { stdout, stderr, exit } = await mayfly(args, { env: { MAYFLY_RUN: "/nonexistent" } });
    expect([stdout, exit]).toEqual(["", 126]);
    expect(stderr).toMatch(/^mayfly: no broker answers on \/nonexistent\/(broker|audit|control)\.sock \(ENOENT\)\nhint: /);
  });
});
