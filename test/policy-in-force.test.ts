import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { decide } from "../src/policy/decide.ts";
import { PolicyInForce } from "../src/policy-in-force.ts";
import { PolicyWatch } from "../src/policy-watch.ts";
import { type Clock, type Duration, systemClock } from "../src/time.ts";
import { identity, openPolicyStage, type PolicyStage, template } from "./policy-stage.ts";

/* Real files, and a real ledger: what is on record is read back from it. */

let stage: PolicyStage;

beforeEach(async () => {
  stage = await openPolicyStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

/** Stands still where a watch waits for its next look, until it is told to go on. */
class SteppedClock implements Clock {
  readonly now = systemClock.now;
  readonly monotonic = systemClock.monotonic;
  #goOn: (() => void) | undefined;

  sleep(span: Duration, signal?: AbortSignal): Promise<void> {
    if (span < 1_000) return systemClock.sleep(span, signal);
    return new Promise((resolve) => {
      this.#goOn = resolve;
      signal?.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** One look, to the end of what it leads to. */
  async look(): Promise<void> {
    const waits = () => this.#goOn !== undefined;
    await vi.waitUntil(waits, soon);
    this.#goOn?.();
    this.#goOn = undefined;
    await vi.waitUntil(waits, soon);
  }
}

/** A machine that runs all tests at once may be slow. */
const soon = { timeout: 20_000, interval: 10 };

/** The user of some job: neither root nor the broker. */
const stranger = 61_499;

/** What may befall the folder of templates, which holds `deploy.yaml` and `other.yaml`, and the operator's word on it. */
const flaws: readonly (readonly [says: string, harm: () => void, problem: RegExp])[] = [
  ["is empty", () => empty(), /there are none: nobody could have anything/],
  ["is gone", () => rmSync(stage.templates, { recursive: true }), /templates: cannot be read \(ENOENT\)/],
  ["is a link to another one", () => linked(), /templates: not a folder \(a symbolic link does not count\)/],
  ["can be written by everybody", () => chmodSync(stage.templates, 0o777), /templates: can be written by others/],
  ["belongs to a job's user", () => chownSync(stage.templates, stranger, stranger), /templates: belongs to user 61499/],
  ["has a file that is cut off", () => truncateSync(deploy(), 60), /deploy\.yaml/],
  ["has a file that is empty", () => truncateSync(deploy(), 0), /deploy\.yaml/],
  ["has a file with a stray key", () => writeFileSync(deploy(), `${template("deploy")}stray: 1\n`), /deploy\.yaml:\d+: stray/],
  ["has a file of a job's user", () => chownSync(deploy(), stranger, stranger), /deploy\.yaml: belongs to user 61499/],
  ["has a file that its group can write", () => chmodSync(deploy(), 0o664), /deploy\.yaml: can be written by others/],
  ["has a file that everybody can write", () => chmodSync(deploy(), 0o666), /deploy\.yaml: can be written by others/],
  ["has a link in a file's place", () => linkedFile(), /deploy\.yaml: a symbolic link/],
  [
    "is in a folder that everybody can write",
    () => chmodSync(stage.folder, 0o777),
    /templates: the folder above it, \/.*, can be written by others/,
  ],
  [
    "is in a folder of a job's user",
    () => chownSync(stage.folder, stranger, stranger),
    /templates: the folder above it, \/.*, belongs to user 61499/,
  ],
  ["has two templates of one name", () => void stage.put("third", template("deploy")), /third\.yaml/],
];

function deploy(): string {
  return join(stage.templates, "deploy.yaml");
}

function empty(): void {
  for (const name of readdirSync(stage.templates)) unlinkSync(join(stage.templates, name));
}

function linked(): void {
  renameSync(stage.templates, join(stage.folder, "elsewhere"));
  symlinkSync("elsewhere", stage.templates);
}

function linkedFile(): void {
  renameSync(deploy(), join(stage.folder, "deploy.yaml"));
  symlinkSync(join(stage.folder, "deploy.yaml"), deploy());
}

function good(): void {
  stage.put("deploy", template("deploy"));
  stage.put("other", template("other", "5m", "7"));
}

async function load(): Promise<PolicyInForce> {
  good();
  return PolicyInForce.load(stage.parts);
}

describe("a start", () => {
  test("with templates is on record with their digest, their names and their text, which names each file", async () => {
    const policy = await load();
    const { digest } = policy.current;
    expect(await stage.entries("policy")).toEqual([
      { kind: "policy", policy: digest, templates: ["deploy", "other"], by: "start", lastWord: null },
    ]);
    expect(await stage.parts.ledger.policyText(digest)).toBe(policy.current.text);
    expect(policy.trouble()).toEqual([]);
  });

  test("is refused where the folder holds more than a watch would look at", async () => {
    good();
    for (let count = 0; count < 5_000; count += 1) writeFileSync(join(stage.templates, `file-${count}.yaml`), "");
    const message = expect.stringContaining("templates: holds more than 5000 files and folders");
    await expect(PolicyInForce.load(stage.parts)).rejects.toMatchObject({ code: "policy-invalid", message });
  });

  test.each(flaws)("is refused where the folder %s", async (_, harm, problem) => {
    good();
    harm();
    await expect(PolicyInForce.load(stage.parts)).rejects.toMatchObject({
      code: "policy-invalid",
      message: expect.stringMatching(problem),
    });
    expect(await stage.entries("policy")).toEqual([]);
    expect(await stage.entries("policy-refused")).toEqual([
      { kind: "policy-refused", by: "start", problems: expect.any(Number), first: expect.stringMatching(problem) },
    ]);
  });
});

test("what is found in templates that load is told once for each policy, and not again when they are read again", async () => {
  const policy = await load();
  await policy.reload("signal");
  const found = stage.log.filter((line) => line.includes(`"rule":"no-owner"`));
  expect(found.map((line) => (JSON.parse(line) as { readonly finding: string }).finding)).toEqual([
    expect.stringContaining("deploy.yaml:1"),
    expect.stringContaining("other.yaml:1"),
  ]);
});

test("the names of very many templates do not keep a policy from being recorded, since its text has them", async () => {
  for (let index = 0; index < 500; index += 1) {
    const name = `a-very-long-name-for-a-template-of-some-team-${index}/and-a-longer-one-still`;
    stage.put(`t${index}`, template(name, "5m", String(1_000 + index)));
  }
  const policy = await PolicyInForce.load(stage.parts);
  const [recorded] = await stage.entries("policy");
  expect(policy.current.templates.size).toBe(500);
  expect(recorded?.templates.length).toBeGreaterThan(300);
  expect(recorded?.templates).toEqual([...policy.current.templates.keys()].slice(0, recorded?.templates.length));
}, 60_000);

describe("a reload", () => {
  test.each(flaws)("keeps what is in force where the folder %s, and says so until it loads again", async (_, harm, problem) => {
    const policy = await load();
    const { digest } = policy.current;
    harm();
    const refused = await policy.reload("signal").catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "policy-invalid", message: expect.stringMatching(problem) });
    expect(policy.current.digest).toBe(digest);
    expect(policy.trouble()).toEqual([{ code: "policy-invalid", about: expect.stringMatching(problem) }]);
    expect(stage.log.filter((line) => line.includes(`"by":"signal"`) && line.includes("do not load"))).toHaveLength(1);

    rmSync(stage.templates, { recursive: true, force: true });
    chmodSync(stage.folder, 0o700);
    chownSync(stage.folder, 0, 0);
    mkdirSync(stage.templates);
    good();
    await policy.reload("operator");
    expect(policy.trouble()).toEqual([]);
    expect(stage.log.at(-1)).toContain("the templates load again");
    const refusals = await stage.entries("policy-refused");
    expect(refusals).toEqual([expect.objectContaining({ by: "signal", first: expect.stringMatching(problem) })]);
    expect(await stage.entries("policy")).toHaveLength(1);
  });

  test("puts new templates in force, on record with who had them read", async () => {
    const policy = await load();
    const old = policy.current.digest;
    stage.put("deploy", template("deploy", "3m"));
    expect((await policy.reload("operator")).digest).toBe(policy.current.digest);
    expect(policy.current.digest).not.toBe(old);
    const changes = await stage.entries("policy");
    expect(changes.map(({ policy: digest, by }) => [digest, by])).toEqual([
      [old, "start"],
      [policy.current.digest, "operator"],
    ]);
  });

  test("of what is in force already changes nothing and is not on record", async () => {
    const policy = await load();
    utimesSync(deploy(), 1, 1);
    await policy.reload("signal");
    await policy.reload("operator");
    expect(await stage.entries("policy")).toHaveLength(1);
  });

  test("of files that nobody touched does not read them again, be they good or bad", async () => {
    const policy = await load();
    const { current } = policy;
    expect([await policy.reload("signal"), await policy.reload("operator")]).toEqual([current, current]);
    expect(policy.current).toBe(current);
    chmodSync(deploy(), 0o666);
    const first = await policy.reload("signal").catch((error: unknown) => error);
    const lines = stage.log.length;
    const second = await policy.reload("signal").catch((error: unknown) => error);
    expect(second).toMatchObject({ code: "policy-invalid", message: (first as Error).message });
    expect(stage.log).toHaveLength(lines);
    chmodSync(deploy(), 0o644);
    await policy.reload("signal");
    expect(policy.trouble()).toEqual([]);
  });

  test("records the same problems once however often it is asked, and others again", async () => {
    const policy = await load();
    const refused = async (harm: () => void) => {
      harm();
      await expect(policy.reload("signal")).rejects.toMatchObject({ code: "policy-invalid" });
    };
    await refused(() => chmodSync(deploy(), 0o666));
    await refused(() => undefined);
    await refused(() => undefined);
    await refused(() => chmodSync(join(stage.templates, "other.yaml"), 0o666));
    const refusals = await stage.entries("policy-refused");
    expect(refusals.map(({ problems }) => problems)).toEqual([1, 2]);
  });

  test("that is asked for during another one runs once more after it, however many ask", async () => {
    const policy = await load();
    stage.put("deploy", template("deploy", "1m"));
    const first = policy.reload("signal");
    await Promise.resolve();
    await Promise.resolve();
    stage.put("deploy", template("deploy", "2m"));
    const others = await Promise.all([policy.reload("operator"), policy.reload("change"), policy.reload("signal")]);
    await first;
    expect(new Set(others.map(({ digest }) => digest)).size).toBe(1);
    expect(policy.current.templates.get("deploy")?.credentials.get("api")?.ttl).toBe(120_000);
  });

  test("is not in force where the ledger cannot take it", async () => {
    const policy = await load();
    const { digest } = policy.current;
    stage.put("deploy", template("deploy", "3m"));
    await stage.parts.ledger[Symbol.asyncDispose]();
    await expect(policy.reload("signal")).rejects.toMatchObject({ code: "ledger-unavailable" });
    expect(policy.current.digest).toBe(digest);
  });

  /** Changes a file at each of so many pauses, which lie between the look at what is there and the end of what is read then. */
  function changing(times: number): Clock {
    let left = times;
    const sleep: Clock["sleep"] = async (span) => {
      if (left > 0) stage.put("deploy", template("deploy", left % 2 === 0 ? "3m" : "10m"));
      left -= 1;
      await systemClock.sleep(span);
    };
    return { ...systemClock, sleep };
  }

  test.each([
    ["reads again while files change under it", 5, undefined],
    ["gives up on files that never stand still", Number.POSITIVE_INFINITY, "changes while it is read"],
  ])("%s", async (_, times, problem) => {
    good();
    const parts = { ...stage.parts, files: { ...stage.files, clock: changing(times) } };
    const told = await PolicyInForce.load(parts).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (problem === undefined) expect(told).toBeUndefined();
    else expect(told).toMatchObject({ code: "policy-invalid", message: expect.stringContaining(problem) });
    expect(await stage.entries("policy")).toHaveLength(problem === undefined ? 1 : 0);
  });
});

describe("five hundred decisions while templates change to and fro", () => {
  test("are each by one version, which was on record before the first of them", async () => {
    const policy = await load();
    const recorded = new Map<string, string>();
    let over = false;
    const flipping = (async () => {
      for (let turn = 0; !over; turn += 1) {
        // Both files say the version; a decision by half of each would show.
        const ttl = turn % 2 === 0 ? "3m" : "4m";
        stage.put("deploy", template("deploy", ttl));
        stage.put("other", template("other", ttl, "7"));
        await policy.reload("signal");
      }
    })();
    const seen = new Map<string, Set<string>>();
    for (let count = 0; count < 500; count += 1) {
      const outcome = decide(policy.current, {
        identity,
        template: "deploy",
        step: undefined,
        command: ["true"],
        now: Date.now(),
      });
      if (outcome.kind !== "granted") throw new Error(outcome.message);
      const [credential] = outcome.credentials;
      const said = `${credential?.ttl} ${JSON.stringify(credential?.options)}`;
      seen.set(outcome.policy, (seen.get(outcome.policy) ?? new Set()).add(said));
      if (!recorded.has(outcome.policy))
        for (const { policy: digest } of await stage.entries("policy")) recorded.set(digest, outcome.policy);
      expect(recorded.has(outcome.policy)).toBe(true);
      await sleep(1);
    }
    over = true;
    await flipping;
    expect(seen.size).toBe(3);
    expect([...seen.values()].map(({ size }) => size)).toEqual([1, 1, 1]);
  }, 60_000);
});

describe("a watch", () => {
  const interval = 40;
  /** A watch looks more seldom where a look takes long, as it does on a busy machine; this one does not. */
  const brisk: Clock = { ...systemClock, sleep: (span, signal) => systemClock.sleep(Math.min(span, interval), signal) };

  async function watched(work: (policy: PolicyInForce) => Promise<void>): Promise<void> {
    const policy = await load();
    using _watch = new PolicyWatch({ policy, files: { ...stage.files, clock: brisk }, log: stage.parts.log, interval });
    await work(policy);
  }

  const inForce = (policy: PolicyInForce) => [...policy.current.templates.keys()];

  test.each<readonly [string, () => void, readonly string[]]>([
    ["a file that is added", () => void stage.put("more", template("more", "5m", "8")), ["deploy", "more", "other"]],
    [
      "a file in a new folder",
      () => void stage.put("shop/more", template("shop/more", "5m", "8")),
      ["deploy", "other", "shop/more"],
    ],
    ["a file that is removed", () => unlinkSync(join(stage.templates, "other.yaml")), ["deploy"]],
    ["a file that is renamed over another", () => replaced(), ["deploy", "third"]],
    ["a folder that is put in the old one's place", () => swapped(), ["deploy"]],
  ])("has templates read again after %s", async (_, change, names) => {
    await watched(async (policy) => {
      change();
      await expect.poll(() => inForce(policy), soon).toEqual(names);
      const [, changed] = await stage.entries("policy");
      expect(changed).toMatchObject({ by: "change", policy: policy.current.digest });
    });
  });

  function replaced(): void {
    writeFileSync(join(stage.folder, "new"), template("third", "5m", "9"));
    renameSync(join(stage.folder, "new"), join(stage.templates, "other.yaml"));
  }

  function swapped(): void {
    mkdirSync(join(stage.folder, "new"));
    linkSync(deploy(), join(stage.folder, "new", "deploy.yaml"));
    renameSync(stage.templates, join(stage.folder, "old"));
    renameSync(join(stage.folder, "new"), stage.templates);
  }

  test("records what a job's user did to a file, keeps what is in force, and sees that it is over", async () => {
    await watched(async (policy) => {
      chownSync(deploy(), stranger, stranger);
      await expect.poll(() => policy.trouble(), soon).toMatchObject([{ code: "policy-invalid" }]);
      await sleep(5 * interval);
      expect(await stage.entries("policy-refused")).toMatchObject([{ by: "change", problems: 1 }]);
      chownSync(deploy(), 0, 0);
      await expect.poll(() => policy.trouble(), soon).toEqual([]);
      expect(inForce(policy)).toEqual(["deploy", "other"]);
    });
  });

  test("sees a folder that was removed and made again", async () => {
    await watched(async (policy) => {
      rmSync(stage.templates, { recursive: true });
      await expect.poll(() => policy.trouble(), soon).toMatchObject([{ about: expect.stringContaining("ENOENT") }]);
      mkdirSync(stage.templates);
      stage.put("deploy", template("deploy", "2m"));
      await expect.poll(() => inForce(policy), soon).toEqual(["deploy"]);
    });
  });

  test("waits for the end of a checkout that takes its time", async () => {
    const policy = await load();
    const clock = new SteppedClock();
    using _watch = new PolicyWatch({ policy, files: { ...stage.files, clock }, log: stage.parts.log });
    for (let part = 0; part < 12; part += 1) {
      stage.put(`part-${part}`, template(`part-${part}`, "5m", `${100 + part}`));
      await clock.look();
    }
    expect(policy.current.templates.size).toBe(2);
    await clock.look();
    expect(policy.current.templates.size).toBe(14);
    expect(await stage.entries("policy")).toHaveLength(2);
  });

  test("does not try again at once where the ledger took no record", async () => {
    await watched(async () => {
      await stage.parts.ledger[Symbol.asyncDispose]();
      stage.put("deploy", template("deploy", "2m"));
      const tries = () => stage.log.filter((line) => line.includes("could not be put in force yet"));
      await expect.poll(tries, soon).toHaveLength(1);
      await sleep(20 * interval);
      expect(tries()).toHaveLength(1);
    });
  });

  test("minds neither hidden files nor its own reads", async () => {
    await watched(async () => {
      writeFileSync(join(stage.templates, ".deploy.yaml.swp"), "x");
      mkdirSync(join(stage.templates, ".git"));
      await sleep(6 * interval);
      expect(await stage.entries("policy")).toHaveLength(1);
      expect(stage.log.filter((line) => line.includes("templates are in force"))).toHaveLength(1);
    });
  });

  test("says that templates never stand still, until they do", async () => {
    const policy = await load();
    const clock = new SteppedClock();
    using watch = new PolicyWatch({ policy, files: { ...stage.files, clock }, log: stage.parts.log });
    for (let turn = 0; turn < 30; turn += 1) {
      expect(watch.trouble()).toEqual([]);
      stage.put("deploy", template("deploy", turn % 2 === 0 ? "3m" : "10m"));
      await clock.look();
    }
    expect(watch.trouble()).toMatchObject([{ code: "policy-invalid" }]);
    await clock.look();
    expect(watch.trouble()).toEqual([]);
  });
});
