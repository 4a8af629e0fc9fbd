import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSshAuthority, type SshAuthority } from "../../src/lease/ssh-certificates.ts";
import { systemClock } from "../../src/time.ts";
import { must } from "../servers/process.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-ssh-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (): Promise<SshAuthority> => openSshAuthority(join(folder, "ssh.key"), systemClock, randomBytes);
const request = {
  serial: 7n,
  keyId: "lse-one",
  principals: ["deploy"],
  criticalOptions: {},
  extensions: [],
  notAfter: 0,
} as const;

describe("the CA for SSH certificates", () => {
  it("has one key, the broker's own, before and after a restart", async () => {
    const { publicKey } = await open();
    expect((await open()).publicKey).toBe(publicKey);
    expect((await stat(join(folder, "ssh.key"))).mode & 0o777).toBe(0o600);
    await writeFile(join(folder, "ca.pub"), publicKey);
    expect(await must("ssh-keygen", ["-l", "-f", join(folder, "ca.pub")])).toContain("mayfly (ED25519)");
  });

  it.each([[[]], [[""]], [["deploy", ""]]])(
    "signs nothing for the principals %j: it would be good for everybody",
    async (principals) => {
      const { issue } = await open();
      await expect(issue({ ...request, principals, notAfter: Date.now() + 60_000 })).rejects.toThrow("needs principals");
    },
  );

  it("has a fresh key in each certificate", async () => {
    const { issue } = await open();
    const [one, other] = await Promise.all([1, 2].map(() => issue({ ...request, notAfter: Date.now() + 60_000 })));
    expect(one?.privateKey.equals(other?.privateKey ?? one.privateKey)).toBe(false);
  });

  it("is no key of another kind", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    await writeFile(join(folder, "ssh.key"), privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    await expect(open()).rejects.toMatchObject({ code: "config-invalid" });
  });
});
