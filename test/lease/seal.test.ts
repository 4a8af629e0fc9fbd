import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSeal } from "../../src/lease/seal.ts";
import { Secret } from "../../src/secret.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-seal-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a sealed secret", () => {
  it("is opened again after a restart, and shows nothing of itself", async () => {
    const sealed = (await openSeal(join(folder, "one"), randomBytes)).seal(Secret.of("canary-secret"));
    expect(sealed).toMatch(/^[A-Za-z0-9_-]+$/);
    expect(Buffer.from(sealed, "base64url").toString("latin1")).not.toContain("canary");
    const opened = (await openSeal(join(folder, "one"), randomBytes)).unseal(sealed);
    expect(opened.use((bytes) => bytes.toString())).toBe("canary-secret");
  });

  it("differs each time", async () => {
    const seal = await openSeal(join(folder, "one"), randomBytes);
    expect(seal.seal(Secret.of("same"))).not.toBe(seal.seal(Secret.of("same")));
  });

  it.each([
    ["another broker's", (text: string) => text, "two"],
    ["a changed one", (text: string) => `${text.slice(0, -2)}${text.endsWith("AA") ? "BB" : "AA"}`, "one"],
    ["a short one", (text: string) => text.slice(0, 12), "one"],
    ["an empty one", () => "", "one"],
  ])("is refused: %s", async (_, change, key) => {
    const sealed = (await openSeal(join(folder, "one"), randomBytes)).seal(Secret.of("canary-secret"));
    const seal = await openSeal(join(folder, key), randomBytes);
    expect(() => seal.unseal(change(sealed))).toThrow(
      expect.objectContaining({ code: "internal", detail: "a handle was not sealed by this broker" }),
    );
  });
});
