import { execFile } from "node:child_process";
import { createPublicKey, randomBytes, verify, X509Certificate } from "node:crypto";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createLocalJWKSet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAuthority } from "../../src/lease/authority.ts";
import { openCheckpoint, signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { loadOrCreateSigningKey } from "../../src/ledger/keys.ts";
import { noteSigner, parseVerifierKey } from "../../src/ledger/note.ts";
import { systemClock } from "../../src/time.ts";
import { mayfly } from "./shell.ts";

let folder: string;

const config = (state: string) => `
version: 1
state: ${state}
identity: { url: "https://mayfly.example", origin: mayfly.example/one }
issuers:
  ci: { url: "https://ci.example", audience: mayfly, workload: [project_id], job: [job_id] }
providers:
  own: { type: local }
sandbox: {}
`;

const deploy = `version: 1
template: deploy
who:
  issuer: ci
  project_id: "7"
  ref: refs/heads/main
credentials:
  cert: { provider: own, kind: x509, ttl: 5m }
steps:
  ship: { credentials: [cert], run: [./deploy.sh] }
  look: { credentials: [] }
`;

const claims = { iss: "https://ci.example", sub: "p7", project_id: "7", job_id: "1", ref: "refs/heads/main" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-offline-"));
  for (const name of ["good", "state"]) await mkdir(join(folder, name), { mode: 0o700 });
  await writeFile(join(folder, "mayfly.yaml"), config(join(folder, "state")));
  await writeFile(join(folder, "good", "deploy.yaml"), deploy);
  await writeFile(join(folder, "claims.json"), JSON.stringify(claims));
  await writeFile(join(folder, "branch.json"), JSON.stringify({ ...claims, ref: "refs/heads/x" }));
});

afterAll(() => rm(folder, { recursive: true }));

async function here(...args: readonly string[]) {
  return mayfly(args, {
    cwd: folder,
    env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml"), MAYFLY_TEMPLATES: join(folder, "good") },
  });
}

describe("explain --claims", () => {
  test("tells what a job would be given, and which lines held", async () => {
    const { stdout, exit } = await here("explain", "--claims", "claims.json", "--step", "ship");
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^granted: template deploy matched on issuer, project_id, ref\n/);
    expect(stdout).toContain('command    "./deploy.sh"');
    expect(stdout).toContain("credential cert from own, for 300s");
  });

  test("needs no command where the step pins none, and refuses another than the pinned one", async () => {
    expect(await here("explain", "--claims", "claims.json", "--step", "look")).toMatchObject({ exit: 0 });
    expect(await here("explain", "--claims", "claims.json", "--step", "ship", "--", "sh")).toMatchObject({
      exit: 120,
      stdout: expect.stringContaining("step-command"),
    });
  });

  test("tells which line did not hold and what it wants, and exits as the run would", async () => {
    const { stdout, exit } = await here("explain", "--claims", "branch.json", "--template", "deploy", "--step", "ship");
    expect(exit).toBe(120);
    expect(stdout).toMatch(/NO {3}ref {9}wants .*refs\/heads\/main.* found .*refs\/heads\/x/);
    expect(JSON.parse((await here("explain", "--claims", "branch.json", "--json")).stdout)).toMatchObject({
      kind: "denied",
      code: "no-match",
    });
  });

  const wrong: readonly (readonly [string, string, string])[] = [
    ["what is not JSON", "no json", "does not hold claims"],
    ["what names a member twice", '{"iss":"https://ci.example","iss":"x"}', "does not hold claims"],
    ["a list", "[]", "does not hold a JSON object"],
    [
      "an issuer that is not configured",
      '{"iss":"https://evil.example"}',
      "mayfly.yaml has no issuer whose url is the claims' `iss`",
    ],
  ];
  test.each(wrong)("of %s says so", async (_, content, message) => {
    await writeFile(join(folder, "wrong.json"), content);
    const { stdout, stderr, exit } = await here("explain", "--claims", "wrong.json");
    expect(stdout).toBe("");
    expect(exit).toBeGreaterThanOrEqual(120);
    expect(stderr).toContain(message);
  });
});

describe("keys show", () => {
  test("before the broker has ever started says when keys are made, and makes none", async () => {
    expect(await here("keys", "show")).toMatchObject({
      exit: 124,
      stdout: "",
      stderr: expect.stringContaining("hint: keys are made when the broker first starts"),
    });
  });

  test("shows the very keys with which the broker signs, and nothing that is private", async () => {
    const state = join(folder, "state");
    const authority = await openAuthority({
      folder: state,
      issuerUrl: "https://mayfly.example",
      clock: systemClock,
      random: randomBytes,
    });
    const key = await loadOrCreateSigningKey(join(state, "ledger.key"));

    const vkey = (await here("keys", "show", "ledger")).stdout.trimEnd();
    const checkpoint = signCheckpoint({ size: 0, root: Buffer.alloc(32) }, noteSigner("mayfly.example/one", key));
    expect(openCheckpoint(checkpoint, parseVerifierKey(vkey))).toMatchObject({ origin: "mayfly.example/one", size: 0 });

    const jwks = JSON.parse((await here("keys", "show", "jobs")).stdout);
    const token = await authority.signJwt({ sub: "p7", aud: "shop" }, Date.now() + 60_000);
    const { payload } = await jwtVerify(token.use(String), createLocalJWKSet(jwks), { issuer: "https://mayfly.example/jobs" });
    expect(payload).toMatchObject({ sub: "p7", aud: "shop" });

    const certificate = new X509Certificate((await here("keys", "show", "authority")).stdout);
    expect(certificate.toString()).toBe(new X509Certificate(authority.publicKeys().authority).toString());

    const all = await here("keys", "show", "--json");
    const { proofs, jobs } = authority.publicKeys();
    expect(JSON.parse(all.stdout)).toEqual({ ledger: vkey, authority: certificate.toString().trimEnd(), proofs, jobs });
    expect(all.stdout).not.toMatch(/PRIVATE|"d":/);
    expect(verify(null, Buffer.from("x"), createPublicKey(key), Buffer.alloc(64))).toBe(false);
  });
});

describe("bin/mayfly", () => {
  test("works from anywhere, through a link", async () => {
    const link = join(folder, "linked-mayfly");
    await symlink(join(process.cwd(), "bin/mayfly"), link);
    expect((await promisify(execFile)(link, ["--version"], { cwd: "/" })).stdout).toBe("0.1.0\n");
  });

  test("says in one line that its Node is too old, or that there is none", async () => {
    await mkdir(join(folder, "old/bin"), { recursive: true });
    await cp("bin/mayfly", join(folder, "old/bin/mayfly"));
    await writeFile(join(folder, "node"), "#!/bin/sh\necho 20\n", { mode: 0o755 });
    const started = (path: string) =>
      promisify(execFile)("/bin/sh", [join(folder, "old/bin/mayfly"), "status"], { env: { PATH: path } }).catch(
        (error: unknown) => error,
      );
    const tools = join(folder, "tools");
    await mkdir(tools);
    await symlink("/usr/bin/readlink", join(tools, "readlink"));
    expect(await started(`${folder}:${tools}`)).toMatchObject({
      code: 124,
      stderr: expect.stringMatching(/^mayfly: Node 24 or newer is needed, and found was .*\/node; run `npm ci` in [^\n]*\n$/),
    });
    expect(await started(tools)).toMatchObject({ code: 124, stderr: expect.stringContaining("found was none") });
  });
});
