import { execFile } from "node:child_process";
import { createPublicKey, randomBytes, verify, X509Certificate } from "node:crypto";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openAuthority } from "../../src/lease/authority.ts";
import { openCheckpoint, signCheckpoint } from "../../src/ledger/checkpoint.ts";
import { loadOrCreateSigningKey } from "../../src/ledger/keys.ts";
import { noteSigner, parseVerifierKey } from "../../src/ledger/note.ts";
import { systemClock } from "../../src/time.ts";
import { mayfly, type Ran } from "./shell.ts";

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
    const { ssh, proofs, jobs } = authority.publicKeys();
    expect((await here("keys", "show", "ssh")).stdout).toBe(`${ssh}\n`);
    expect(JSON.parse(all.stdout)).toEqual({ ledger: vkey, authority: certificate.toString().trimEnd(), ssh, proofs, jobs });
    expect(all.stdout).not.toMatch(/PRIVATE|"d":/);
    expect(verify(null, Buffer.from("x"), createPublicKey(key), Buffer.alloc(64))).toBe(false);
  });
});

interface Discovery {
  readonly issuer: string;
  readonly jwks_uri: string;
}

describe("keys jwks and publish", () => {
  const withUrl = async (url: string, ...args: readonly string[]): Promise<Ran> => {
    const path = join(folder, "publish.yaml");
    await writeFile(path, config(join(folder, "state")).replace("https://mayfly.example", url));
    return mayfly([...args, "--config", path]);
  };

  test("give an upstream what verifies a proof, at the address that the proof names", async () => {
    const issuerUrl = "https://mayfly.example/broker-1";
    const authority = await openAuthority({
      folder: join(folder, "state"),
      issuerUrl,
      clock: systemClock,
      random: randomBytes,
    });
    const { published } = await authority.prepareKey("proofs");
    const out = join(folder, "www", "broker-1");
    expect(await withUrl(issuerUrl, "keys", "publish", out)).toMatchObject({ exit: 0 });
    const proof = (await authority.proofs.end("lse-1").token("https://up.example")).use(String);
    const { iss = "" } = decodeJwt(proof);
    // As AWS, Google and Entra ID do: discovery beneath the issuer, keys where that says, each address a file beneath the folder.
    const read = async (url: string): Promise<unknown> => JSON.parse(await readFile(url.replace(issuerUrl, out), "utf8"));
    const discovered = async (issuer: string): Promise<Discovery> =>
      (await read(`${issuer}/.well-known/openid-configuration`)) as Discovery;
    const keysAt = async (url: string): Promise<JSONWebKeySet> => (await read(url)) as JSONWebKeySet;
    const discovery = await discovered(iss);
    expect(discovery).toMatchObject({ issuer: iss, id_token_signing_alg_values_supported: ["RS256"] });
    const jwks = await keysAt(discovery.jwks_uri);
    expect((await jwtVerify(proof, createLocalJWKSet(jwks), { issuer: iss })).payload).toMatchObject({ purpose: "end" });
    expect(jwks.keys.map(({ kid }) => kid)).toEqual(published);
    expect(JSON.stringify(jwks)).not.toMatch(/"d":/);
    expect(JSON.parse((await withUrl(issuerUrl, "keys", "jwks")).stdout)).toEqual(jwks);
    const jobs = await discovered(`${iss}/jobs`);
    const token = (await authority.signJwt({ sub: "p7", aud: "shop" }, Date.now() + 60_000)).use(String);
    await jwtVerify(token, createLocalJWKSet(await keysAt(jobs.jwks_uri)), { issuer: jobs.issuer });
    expect((await readdir(join(out, ".well-known"))).concat(await readdir(out)).sort()).toEqual(
      [".well-known", "jobs", "jwks.json", "openid-configuration"].sort(),
    );
  });

  test("publish nothing where nobody could read it", async () => {
    expect(await withUrl("https://mayfly.invalid/x", "keys", "publish", join(folder, "nowhere"))).toMatchObject({
      exit: 124,
      stderr: expect.stringContaining("identity.url of mayfly.yaml is not set"),
    });
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
