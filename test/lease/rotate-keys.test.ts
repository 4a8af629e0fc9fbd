import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KeyRing } from "../../src/key-ring.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import { hour, minute, systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";

let folder: string;
let ahead = 0;
const clock = { ...systemClock, now: () => Date.now() + ahead };
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-rotate-"));
  ahead = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (): Promise<BrokerAuthority> =>
  openAuthority({ folder, issuerUrl: "https://mayfly.test", clock, random: randomBytes });
const proof = async (authority: BrokerAuthority): Promise<string> =>
  (await authority.proofs.mint(intentOf({ ttl: 60_000 })).token("https://vault.test")).use(String);
const kidOf = (token: string): string | undefined => decodeProtectedHeader(token).kid;
/** As whoever reads what `mayfly keys publish` writes. */
const verifies = async (token: string): Promise<boolean> => {
  const keys = (await new KeyRing(folder, "proofs").published(clock.now())).map(({ jwk }) => jwk);
  return jwtVerify(token, createLocalJWKSet({ keys }), { currentDate: new Date() }).then(
    () => true,
    () => false,
  );
};

describe("a new key of the broker", () => {
  it("is published before it signs, and what the old one signed is verified until it is over", async () => {
    const authority = await open();
    const before = await proof(authority);
    const prepared = await authority.prepareKey("proofs");
    expect(prepared.published).toHaveLength(2);
    expect(prepared.signing).toBe(kidOf(before));
    expect(kidOf(await proof(authority))).toBe(kidOf(before));
    const turned = await authority.turnKey("proofs", false);
    const after = await proof(authority);
    expect(prepared.published).toContain(kidOf(after));
    expect([turned.signing, kidOf(after) === kidOf(before)]).toEqual([kidOf(after), false]);
    expect([await verifies(before), await verifies(after)]).toEqual([true, true]);
    ahead = 16 * minute;
    expect([await verifies(before), await verifies(after)]).toEqual([false, true]);
  });

  it("is the same after a restart, at every stage", async () => {
    const first = await open();
    const { published } = await first.prepareKey("jobs");
    const again = await open();
    expect(again.publicKeys().jobs.jwks.keys.map(({ kid }) => kid)).toEqual(published);
    expect((await again.prepareKey("jobs")).published).toEqual(published);
    const { signing } = await again.turnKey("jobs", false);
    expect((await open()).publicKeys().jobs.jwks.keys.map(({ kid }) => kid)).toEqual([signing, published[0]]);
    ahead = 26 * hour;
    expect((await open()).publicKeys().jobs.jwks.keys.map(({ kid }) => kid)).toEqual([signing]);
  });

  it("does not sign before it was prepared", async () => {
    await expect((await open()).turnKey("proofs", false)).rejects.toMatchObject({
      code: "usage",
      message: "there is no next key that could sign",
    });
  });

  it("leaves nothing of one that leaked, nor of those before it", async () => {
    const authority = await open();
    await authority.prepareKey("proofs");
    await authority.turnKey("proofs", false);
    const leaked = await proof(authority);
    await authority.prepareKey("proofs");
    const { published } = await authority.turnKey("proofs", true);
    expect(published).toEqual([kidOf(await proof(authority))]);
    expect(await verifies(leaked)).toBe(false);
    expect((await readdir(folder)).filter((file) => file.includes("old"))).toEqual([]);
  });

  it("leaves no private half of the old one", async () => {
    const authority = await open();
    await authority.prepareKey("proofs");
    await authority.turnKey("proofs", false);
    expect((await readdir(folder)).filter((file) => file.endsWith(".key")).sort()).toEqual([
      "jobs.key",
      "proofs.key",
      "seal.key",
      "ssh.key",
    ]);
  });
});
