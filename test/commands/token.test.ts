import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Audience } from "../../src/contract.ts";
import { EchoBroker } from "../api/echo-broker.ts";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { mayfly } from "./shell.ts";

const jwt = "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln";

/** GitHub's endpoint, on loopback: it notes for whom each token was made. */
let endpoint: ReturnType<typeof createServer>;
let github: Readonly<Record<string, string>>;
let madeFor: string[] = [];
let folder: string;

beforeAll(async () => {
  endpoint = createServer((request, response) => {
    madeFor.push(new URL(request.url ?? "", "http://x").searchParams.get("audience") ?? "");
    response.end(JSON.stringify({ value: jwt }));
  });
  await new Promise<void>((resolve) => endpoint.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}`;
  github = {
    GITHUB_ACTIONS: "true",
    GITHUB_SERVER_URL: url,
    ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/?a=b`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "t",
  };
  folder = await mkdtemp(join(tmpdir(), "mayfly-token-"));
});

afterAll(async () => {
  endpoint.closeAllConnections();
  await new Promise((resolve) => endpoint.close(resolve));
  await rm(folder, { recursive: true });
});

const audience = (preset: string, name: string, issuer = preset): Audience => ({ issuer, preset, audience: name });

function doorWith(audiences: readonly Audience[]): Promise<OpenDoor> {
  return openDoor({ broker: Object.assign(new EchoBroker(), { audiences: () => audiences }) });
}

async function run(open: OpenDoor, env: Readonly<Record<string, string>>, flags: readonly string[] = []) {
  madeFor = [];
  return mayfly(["run", ...flags, "--", "true"], {
    cwd: folder,
    stdin: "",
    env: { MAYFLY_RUN: join(open.folder, "run"), PATH: process.env["PATH"] ?? "/bin", ...env },
  });
}

describe("whom a token is made for", () => {
  test.each<[string, readonly Audience[], string]>([
    [
      "what the broker says of its only issuer of that kind",
      [audience("github", "ours"), audience("gitlab", "theirs")],
      "ours",
    ],
    ["what two of that kind agree on", [audience("github", "ours", "a"), audience("github", "ours", "b")], "ours"],
    [
      "what an issuer described by hand has, where there is no other",
      [audience("generic", "ours"), audience("gitlab", "x")],
      "ours",
    ],
    ["the kind's own before one described by hand", [audience("generic", "x"), audience("github", "ours")], "ours"],
    ["mayfly, where the broker has none", [], "mayfly"],
    ["mayfly, where it has none of that kind", [audience("gitlab", "x")], "mayfly"],
  ])("is %s", async (_, audiences, expected) => {
    await using open = await doorWith(audiences);
    expect(await run(open, github)).toEqual({ stdout: "", stderr: "", exit: 0 });
    expect(madeFor).toEqual([expected]);
  });

  test("is chosen by flag, then by variable, and then the broker is not asked", async () => {
    await using open = await doorWith([audience("github", "a", "one"), audience("github", "b", "two")]);
    expect(await run(open, { ...github, MAYFLY_AUDIENCE: "variable" }, ["--audience", "flag"])).toMatchObject({ exit: 0 });
    expect(madeFor).toEqual(["flag"]);
    expect(await run(open, { ...github, MAYFLY_AUDIENCE: "variable" })).toMatchObject({ exit: 0 });
    expect(madeFor).toEqual(["variable"]);
  });

  test("has to be chosen where issuers of that kind differ", async () => {
    await using open = await doorWith([audience("github", "a", "one"), audience("github", "b", "two")]);
    expect(await run(open, github)).toEqual({
      stdout: "",
      stderr:
        "mayfly: the broker has 2 audiences for GitHub Actions: a, b\nhint: choose one with --audience or MAYFLY_AUDIENCE\n",
      exit: 124,
    });
    expect(madeFor).toEqual([]);
  });

  test("is in the lines to paste, where the job's definition says it", async () => {
    await using open = await doorWith([audience("gitlab", "https://ours.example")]);
    const { stderr, exit } = await run(open, { GITLAB_CI: "true" });
    expect(exit).toBe(120);
    expect(stderr).toContain('    MAYFLY_ID_TOKEN:\n      aud: "https://ours.example"\n');
  });

  test("cannot be learned without a broker, and that is what is said", async () => {
    madeFor = [];
    const ran = await mayfly(["session", "start"], { env: { ...github, MAYFLY_RUN: "/nonexistent" } });
    expect(ran).toMatchObject({ exit: 126, stderr: expect.stringContaining("no broker answers on /nonexistent/broker.sock") });
    expect(madeFor).toEqual([]);
  });
});

describe("--token", () => {
  test("names a CI system, wherever we are", async () => {
    await using open = await doorWith([audience("github", "ours")]);
    expect(await run(open, { ...github, GITLAB_CI: "true", GITHUB_ACTIONS: "" }, ["--token", "github"])).toMatchObject({
      exit: 0,
    });
    expect(madeFor).toEqual(["ours"]);
  });

  test("takes a file of a system's name with its folder in front", async () => {
    await using open = await doorWith([]);
    await writeFile(join(folder, "github"), jwt);
    expect(await run(open, {}, ["--token", "./github"])).toMatchObject({ exit: 0 });
  });

  test.each([
    ["run", ["run", "--token", jwt, "--", "true"], "--token"],
    ["run, a session's handle", ["run", "--token", `mfs_${jwt.replaceAll(".", "")}`, "--", "true"], "--token"],
    ["run, as a header has it", ["run", "--token", `Bearer ${jwt}`, "--", "true"], "--token"],
    ["session start", ["session", "start", "--token", jwt], "--token"],
    ["explain --token-file", ["explain", "--token-file", jwt], "--token-file"],
    ["explain", ["explain", jwt], "mayfly explain"],
  ])("handed to %s itself is refused, not repeated, and asks nobody", async (_, args, where) => {
    const { stdout, stderr, exit } = await mayfly(args, { cwd: folder, env: { MAYFLY_RUN: "/nonexistent" } });
    expect([stdout, exit]).toEqual(["", 124]);
    expect(stderr).toContain(
      `mayfly: ${where} was given a token, and takes the name of a file\nhint: put the token into a file`,
    );
    for (const piece of jwt.split(".")) expect(stderr).not.toContain(piece);
  });
});
