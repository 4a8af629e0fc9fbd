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

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-offline-"));
  await mkdir(join(folder, "state"), { mode: 0o700 });
  await writeFile(join(folder, "mayfly.yaml"), config(join(folder, "state")));
});

afterAll(() => rm(folder, { recursive: true }));

async function here(...args: readonly string[]) {
  return mayfly(args, {
    cwd: folder,
    env: { MAYFLY_CONFIG: join(folder, "mayfly.yaml") },
  });
}

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
