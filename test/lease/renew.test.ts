import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Lease } from "../../src/lease/lease.ts";
import { keepAlive, type Renewing } from "../../src/lease/renew.ts";
import { Secret } from "../../src/secret.ts";
import { type JobStage, openJobStage } from "../job-stage.ts";
import { eventually, lying } from "./stage.ts";

let stage: JobStage;
let over: AbortController;
beforeEach(async () => {
  stage = await openJobStage();
  over = new AbortController();
});
afterEach(async () => {
  over.abort();
  await stage[Symbol.asyncDispose]();
});

const lease = (renewWithin: number | undefined, life = 60_000): Lease => ({
  lease: "lse-1",
  credential: "db",
  provider: "main",
  material: { kind: "bearer", token: Secret.of("canary") },
  ending: {
    kind: "revoke",
    handle: { id: "1" },
    expiresAt: Date.now() + life,
    ...(renewWithin === undefined ? {} : { renewWithin }),
  },
  deliver: undefined,
});

/** Renewals by their moment; each does what the test says. */
function room(renew: (count: number) => Promise<void>, parts: Partial<Renewing> = {}) {
  const renewals: number[] = [];
  const reports: string[] = [];
  const provider = lying(() => Promise.reject(new Error("not here")));
  const revocation = provider.revocation === "none" ? undefined : provider.revocation;
  const able = {
    ...provider,
    revocation: {
      revoke: () => Promise.resolve(),
      recover: () => Promise.resolve({ kind: "never-happened" } as const),
      ...revocation,
      renew: () => {
        renewals.push(performance.now());
        return renew(renewals.length);
      },
    },
  };
  const renewing: Renewing = {
    ...stage.house.minting,
    providers: new Map([["main", able]]),
    mayRenew: () => Promise.resolve(true),
    report: (error) => void reports.push(error.code),
    ...parts,
  };
  return { renewing, renewals, reports };
}

const after = (span: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, span));

describe("a lease that its upstream ends where nobody renews it", () => {
  it("is renewed three times within its span, until its run is over", async () => {
    const { renewing, renewals, reports } = room(() => Promise.resolve());
    const began = performance.now();
    keepAlive(renewing, [lease(600)], over.signal);
    await eventually(async () => renewals.length >= 4, 5_000);
    expect(renewals.length).toBe(4);
    expect(renewals[0] ?? 0).toBeLessThan(began + 400);
    over.abort();
    await after(500);
    expect([renewals.length, reports]).toEqual([4, []]);
  });

  it("is left alone where it lives by itself: the control", async () => {
    const { renewing, renewals } = room(() => Promise.resolve());
    keepAlive(renewing, [lease(undefined)], over.signal);
    await after(500);
    expect(renewals).toEqual([]);
  });

  it("is tried again sooner after a failure, and kept when that works", async () => {
    const { renewing, renewals, reports } = room((count) =>
      count === 1 ? Promise.reject(new Error("boom")) : Promise.resolve(),
    );
    keepAlive(renewing, [lease(1_200)], over.signal);
    await eventually(async () => renewals.length >= 2, 5_000);
    expect((renewals[1] ?? 0) - (renewals[0] ?? 0)).toBeLessThan(350);
    expect(reports).toEqual(["provider-unavailable"]);
  });

  it("is given up when its span is over", async () => {
    const { renewing, renewals } = room(() => Promise.reject(new Error("boom")));
    keepAlive(renewing, [lease(400)], over.signal);
    await after(900);
    const tries = renewals.length;
    expect(tries).toBeGreaterThanOrEqual(3);
    await after(600);
    expect(renewals.length).toBe(tries);
  });

  it("is not renewed past a raised fence, nor beyond the life that it was given", async () => {
    const fenced = room(() => Promise.resolve(), { mayRenew: () => Promise.resolve(false) });
    keepAlive(fenced.renewing, [lease(300)], over.signal);
    const old = room(() => Promise.resolve());
    keepAlive(old.renewing, [lease(300, 50)], over.signal);
    await after(500);
    expect([fenced.renewals.length, old.renewals.length]).toEqual([0, 0]);
  });

  it("is not waited for longer than until the next one is due", async () => {
    const { renewing, renewals } = room(() => new Promise(() => undefined));
    keepAlive(renewing, [lease(1_200)], over.signal);
    await eventually(async () => renewals.length >= 2, 5_000);
    expect((renewals[1] ?? 0) - (renewals[0] ?? 0)).toBeLessThan(1_000);
  });
});
