import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import type { Rotation } from "../../src/lease/provider.ts";
import { type Rotating, Rotator } from "../../src/lease/rotate.ts";
import { day, minute, systemClock } from "../../src/time.ts";
import { type JobStage, openJobStage } from "../job-stage.ts";
import { lying } from "./stage.ts";

let stage: JobStage;
let ahead = 0;
beforeEach(async () => {
  stage = await openJobStage();
  ahead = 0;
});
afterEach(() => stage[Symbol.asyncDispose]());

const asked = { who: "ann", why: "somebody left" };

function rotator(rotate: Rotation["rotate"], every = new Map<string, number>()) {
  const reports: string[] = [];
  const rotating: Rotating = {
    ...stage.house.minting,
    clock: { ...systemClock, now: () => Date.now() + ahead },
    providers: new Map([
      ["main", { ...lying(() => Promise.reject(new Error("not here"))), rotation: { names: ["root", "app"], rotate } }],
      ["plain", lying(() => Promise.reject(new Error("not here")))],
    ]),
    patience: 50,
    every,
    report: (error, what) => void reports.push(`${what}: ${error.code}`),
  };
  return { rotator: new Rotator(rotating), reports };
}

const story = async (): Promise<readonly unknown[]> =>
  (await stage.ledger.entries({ limit: 100, kinds: ["operated", "rotated", "rotation-failed"] })).map(({ event }) => event);

describe("replacing a stored secret", () => {
  it("is on record before and after, and its age counts from then", async () => {
    const seen: string[] = [];
    const { rotator: one } = rotator(async (name, { proof }) => {
      seen.push(
        name,
        (await proof.token("https://up.test")).use((bytes) => String(bytes).split(".")[1] ?? ""),
      );
      expect(await story()).toHaveLength(1);
    });
    const [state] = await one.rotate({ provider: "main", name: "app", ...asked });
    expect(state).toMatchObject({ provider: "main", name: "app", next: undefined, trouble: undefined });
    expect(Date.now() - (state?.rotatedAt ?? 0)).toBeLessThan(10_000);
    expect(JSON.parse(Buffer.from(seen[1] ?? "", "base64url").toString())).toMatchObject({
      purpose: "rotate",
      rotates: "main/app",
    });
    expect(await story()).toEqual([
      { kind: "operated", verb: "rotate", about: "rotation:main/app", ...asked },
      { kind: "rotated", provider: "main", name: "app" },
    ]);
    expect(await one.states()).toMatchObject([{ name: "root", rotatedAt: undefined }, { name: "app" }]);
  });

  it("of a whole provider is all that it can, one after the other", async () => {
    const names: string[] = [];
    const { rotator: one } = rotator(async (name) => void names.push(name));
    await one.rotate({ provider: "main", name: undefined, ...asked });
    expect(names).toEqual(["root", "app"]);
  });

  it.each([
    ["an unknown provider", "other", undefined, "provider-unknown"],
    ["a provider that can replace nothing", "plain", undefined, "usage"],
    ["an unknown name", "main", "nothing", "usage"],
  ])("refuses %s, and asks nobody", async (_, provider, name, code) => {
    const { rotator: one } = rotator(() => Promise.reject(new Error("asked")));
    await expect(one.rotate({ provider, name, ...asked })).rejects.toMatchObject({ code });
    expect(await story()).toEqual([]);
  });

  it.each<[string, Rotation["rotate"], string]>([
    ["is refused", () => Promise.reject(new BrokerError("provider-refused")), "provider-refused"],
    ["loses its answer", () => Promise.reject(new Error("reset")), "provider-unavailable"],
    ["never ends", () => new Promise(() => undefined), "provider-unavailable"],
  ])("that %s is on record as failed, and said in the status", async (_, rotate, code) => {
    const { rotator: one } = rotator(rotate);
    await expect(one.rotate({ provider: "main", name: "app", ...asked })).rejects.toMatchObject({ code });
    expect((await story()).at(-1)).toEqual({ kind: "rotation-failed", provider: "main", name: "app", code });
    expect((await one.states())[1]).toMatchObject({ trouble: expect.any(String) });
  });

  it("is done by one at a time", async () => {
    const { rotator: one } = rotator(() => new Promise((resolve) => setTimeout(resolve, 100)));
    const first = one.rotate({ provider: "main", name: "app", ...asked });
    await expect(one.rotate({ provider: "main", name: "app", ...asked })).rejects.toMatchObject({ code: "busy" });
    await first;
  });
});

describe("replacing it regularly", () => {
  it("happens at once where it never did, and then when its span is over", async () => {
    const names: string[] = [];
    const { rotator: one } = rotator(async (name) => void names.push(name), new Map([["main", day]]));
    await one.look();
    await one.look();
    expect(names).toEqual(["root", "app"]);
    ahead = day + minute;
    await one.look();
    expect(names).toHaveLength(4);
    expect((await story())[0]).toMatchObject({ who: "mayfly", why: "rotate_every" });
  });

  it("is tried again after a pause that grows", async () => {
    let tries = 0;
    const { rotator: one, reports } = rotator(() => Promise.reject(new Error(`${(tries += 1)}`)), new Map([["main", day]]));
    await one.look();
    await one.look();
    expect(tries).toBe(2);
    ahead = minute + 1;
    await one.look();
    expect(tries).toBe(4);
    ahead = 2 * minute;
    await one.look();
    expect(tries).toBe(4);
    expect(reports).toHaveLength(4);
  });
});
