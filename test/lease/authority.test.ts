import { randomBytes, X509Certificate } from "node:crypto";
import { chmod, chown, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { must } from "../servers/process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (): Promise<BrokerAuthority> =>
  openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
const files = ["ca.pem", "jobs.key", "proofs.key", "seal.key", "ssh.key"];

describe("the broker's keys", () => {
  it("are made once, for the broker's user alone, and are the same after a restart", async () => {
    const first = (await open()).publicKeys();
    expect((await readdir(folder)).sort()).toEqual(files);
    for (const file of files) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600);
    expect((await open()).publicKeys()).toEqual(first);
  });

  it("are the same for two brokers that start at once", async () => {
    const [one, two] = await Promise.all([open(), open()]);
    expect(one.publicKeys()).toEqual(two.publicKeys());
    expect((await readdir(folder)).sort()).toEqual(files);
  });

  const broken: readonly (readonly [string, (path: string) => Promise<unknown>, string])[] = [
    ["others can read", (path) => chmod(path, 0o640), "a key of the broker can be read by others; its mode must be 0600"],
    ["is empty", (path) => writeFile(path, ""), "a key of the broker does not hold"],
    [
      "holds something else",
      (path) => writeFile(path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
      "a key of the broker does not hold",
    ],
    [
      "is a link",
      (path) => rename(path, `${path}.real`).then(() => symlink(`${path}.real`, path)),
      "a key of the broker cannot be read",
    ],
    ["is a folder", (path) => rm(path).then(() => must("mkdir", [path])), "a key of the broker is not a regular file"],
  ];
  it.each(broken.flatMap(([what, breakIt, why]) => files.map((file) => [file, what, breakIt, why] as const)))(
    "are refused when %s %s",
    async (file, _, breakIt, why) => {
      await open();
      await breakIt(join(folder, file));
      await expect(open()).rejects.toMatchObject({ code: "config-invalid", message: expect.stringContaining(why) });
    },
  );

  it("are refused when another user owns one", async ({ skip }) => {
    if (process.geteuid?.() !== 0) skip("only root can give a file away");
    await open();
    await chown(join(folder, "proofs.key"), 12_345, 12_345);
    await expect(open()).rejects.toMatchObject({
      code: "config-invalid",
      message: "a key of the broker belongs to another user",
    });
  });

  it("never swap: a job's key is not taken for the proofs'", async () => {
    await open();
    await writeFile(join(folder, "proofs.key"), await readFile(join(folder, "jobs.key")));
    await expect(open()).rejects.toMatchObject({
      code: "config-invalid",
      message: "a key of the broker does not hold a private key for RS256 in PEM",
    });
  });
});

describe("a proof", () => {
  it("to mint carries who it is for, lives two minutes, and is a new one each time", async () => {
    const { proofs, publicKeys } = await open();
    const intent = intentOf({ ttl: 60_000 }, { lease: "lse-one", session: "ses-one" });
    const tokens = await Promise.all([
      proofs.mint(intent).token("https://vault.test"),
      proofs.mint(intent).token("https://vault.test"),
    ]);
    const [token, other] = tokens.map((secret) => secret.use(String));
    const { payload } = await jwtVerify(token ?? "", createLocalJWKSet({ keys: [...publicKeys().proofs.jwks.keys] }), {
      issuer: "https://mayfly.test",
      audience: "https://vault.test",
    });
    expect(payload).toMatchObject({
      sub: "github:519283746",
      purpose: "mint",
      lease: "lse-one",
      template: "deploy/production",
      session: "ses-one",
    });
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(120);
    expect(decodeProtectedHeader(token ?? "")).toMatchObject({ alg: "RS256", typ: "JWT" });
    expect(decodeJwt(other ?? "").jti).not.toBe(payload.jti);
  });

  it("to end is the sweeper's own, and is not found by who looks for the lease", async () => {
    const token = await (await open()).proofs.end("lse-one").token("https://vault.test");
    expect(decodeJwt(token.use(String))).toMatchObject({ sub: "mayfly:sweeper", purpose: "end", ends: "lse-one" });
    expect(decodeJwt(token.use(String))).not.toHaveProperty("lease");
  });
});

describe("a certificate", () => {
  const request = { serial: "01ab", commonName: "lse-one", uri: "mayfly://workload/x/template/y", notAfter: 0 } as const;

  it("is a client's and nothing else, says OpenSSL", async () => {
    const { issueCertificate } = await open();
    const notAfter = Date.now() + 60_000;
    const { certificate, authority } = await issueCertificate({ ...request, notAfter });
    await writeFile(join(folder, "client.pem"), certificate);
    await writeFile(join(folder, "authority.pem"), authority);
    const verify = (purpose: string): Promise<string> =>
      must("openssl", [
        "verify",
        "-x509_strict",
        "-purpose",
        purpose,
        "-CAfile",
        join(folder, "authority.pem"),
        join(folder, "client.pem"),
      ]);
    await expect(verify("sslclient")).resolves.toContain("OK");
    await expect(verify("sslserver")).rejects.toThrow("certificate purpose");
    const read = new X509Certificate(certificate);
    expect(read.ca).toBe(false);
    expect(read.subjectAltName).toBe("URI:mayfly://workload/x/template/y");
    expect(read.serialNumber).toBe("01AB");
    expect(Date.parse(read.validTo)).toBe(Math.floor(notAfter / 1_000) * 1_000);
  });

  it("has a fresh key each time", async () => {
    const { issueCertificate } = await open();
    const [one, two] = await Promise.all([1, 2].map(() => issueCertificate({ ...request, notAfter: Date.now() + 60_000 })));
    expect(one?.privateKey.equals(two?.privateKey ?? one.privateKey)).toBe(false);
  });
});
