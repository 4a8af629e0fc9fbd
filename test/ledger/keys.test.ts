import { generateKeyPairSync } from "node:crypto";
import { chmod, chown, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadOrCreateSigningKey } from "../../src/ledger/keys.ts";
import { newFolder, newKey } from "./fixture.ts";

const pem = (key = newKey()): string => String(key.export({ format: "pem", type: "pkcs8" }));

describe("the ledger's signing key", () => {
  test("is made at the first start, for its owner alone, and is the same at the next", async () => {
    const path = join(newFolder(), "ledger.key");
    const first = await loadOrCreateSigningKey(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await loadOrCreateSigningKey(path)).equals(first)).toBe(true);
    expect(await readFile(path, "utf8")).toBe(pem(first));
  });

  test("is one, when many start at once, and nothing else is left behind", async () => {
    const folder = newFolder();
    const keys = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateSigningKey(join(folder, "ledger.key"))));
    expect(keys.every((key) => keys[0]?.equals(key))).toBe(true);
    expect(await readdir(folder)).toEqual(["ledger.key"]);
  });

  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  test.each<[string, (path: string) => Promise<unknown>, string]>([
    ["whose file the group can read", (path) => chmod(path, 0o640), "can be read by others"],
    ["whose file everybody can read", (path) => chmod(path, 0o604), "can be read by others"],
    ["that is not a key", (path) => writeFile(path, "hello"), "does not hold an Ed25519 private key"],
    ["that is empty", (path) => writeFile(path, ""), "does not hold an Ed25519 private key"],
    ["of another algorithm", (path) => writeFile(path, pem(rsa)), "does not hold an Ed25519 private key"],
  ])("%s is refused", async (_, spoil, why) => {
    const path = join(newFolder(), "ledger.key");
    await loadOrCreateSigningKey(path);
    await spoil(path);
    await expect(loadOrCreateSigningKey(path)).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(why) as string,
    });
  });

  test("whose file belongs to another user is refused", async ({ skip }) => {
    skip(process.geteuid?.() !== 0, "this host cannot run chown: root is needed to give a file away");
    const path = join(newFolder(), "ledger.key");
    await loadOrCreateSigningKey(path);
    await chown(path, 12345, 12345);
    await expect(loadOrCreateSigningKey(path)).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining("belongs to another user") as string,
    });
  });

  test("behind a link is refused, and so is a folder", async () => {
    const folder = newFolder();
    await loadOrCreateSigningKey(join(folder, "real.key"));
    await symlink(join(folder, "real.key"), join(folder, "link.key"));
    await expect(loadOrCreateSigningKey(join(folder, "link.key"))).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining("cannot be read") as string,
    });
    await expect(loadOrCreateSigningKey(folder)).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining("not a regular file") as string,
    });
  });
});
