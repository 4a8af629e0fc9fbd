import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decide } from "../src/policy/decide.ts";
import { PolicyInForce } from "../src/policy-in-force.ts";
import { PolicyWatch } from "../src/policy-watch.ts";
import { identity, openPolicyStage, type PolicyStage, template } from "./policy-stage.ts";
import { buildBundle, startOpa } from "./servers/opa.ts";
import { opaMissing } from "./servers/opa-binary.ts";
import { freePort } from "./servers/process.ts";

/* The last word as the broker holds it: read with the templates, put in force with them, kept with them. */

const missing = opaMissing();
const rego = `package mayfly

default decision := {"allow": false, "reason": "nobody allows it"}

decision := {"allow": true, "ttl": {name: data.ttl | some name in names}} if input.identity.trust == "protected"

names := {credential.name | some credential in input.credentials}
`;

let built: string;
let stage: PolicyStage;

beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), "mayfly-bundles-"));
  if (missing !== undefined) return;
  for (const ttl of ["5m", "2m", "1h"]) renameSync(await buildBundle(built, rego, { ttl }), join(built, ttl));
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

const bundle = () => join(stage.folder, "opa", "bundle.tar.gz");

beforeEach(async () => {
  stage = await openPolicyStage((folder) => `last_word: { bundle: "${folder}/opa/bundle.tar.gz" }`);
  mkdirSync(join(stage.folder, "opa"));
  stage.put("deploy", template("deploy"));
});
afterEach(() => stage[Symbol.asyncDispose]());

/** As `cp` would put it there under another name first, and then into place. */
function install(name: string): void {
  copyFileSync(join(built, name), `${bundle()}.new`);
  chmodSync(`${bundle()}.new`, 0o644);
  renameSync(`${bundle()}.new`, bundle());
}

async function load(skip: (why: string) => void): Promise<PolicyInForce> {
  if (missing !== undefined) skip(missing);
  install("5m");
  return PolicyInForce.load(stage.parts);
}

/** The life of the credential in seconds, or the code; and the id of the decision. */
async function ask(policy: PolicyInForce): Promise<readonly [outcome: unknown, decision: string]> {
  const granted = decide(policy.current, { identity, template: "deploy", step: undefined, command: ["true"], now: Date.now() });
  if (granted.kind !== "granted") throw new Error(granted.message);
  const heard = await policy.lastWord?.ask(granted, new AbortController().signal);
  if (heard === undefined) throw new Error("no last word");
  const { outcome, decision } = heard;
  return [outcome.kind === "denied" ? outcome.code : (outcome.credentials[0]?.ttl ?? 0) / 1_000, decision];
}

async function recorded(): Promise<readonly (string | null)[]> {
  return (await stage.entries("policy")).map(({ lastWord }) => lastWord);
}

describe("a bundle beside the templates", () => {
  test("is in force with them, on record by its digest, which each decision names", async ({ skip }) => {
    const policy = await load(skip);
    const [outcome, decision] = await ask(policy);
    const [digest] = await recorded();
    expect(outcome).toBe(300);
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(decision).toMatch(new RegExp(`^opa:${digest?.slice(0, 12)}:[0-9a-f]{16}$`));
  });

  test("is read again with them, and a change of it alone is on record too", async ({ skip }) => {
    const policy = await load(skip);
    install("2m");
    expect((await ask(policy))[0]).toBe(300);
    await policy.reload("signal");
    const [outcome, decision] = await ask(policy);
    const [old, digest] = await recorded();
    expect([outcome, decision.split(":")[1]]).toEqual([120, digest?.slice(0, 12)]);
    expect(digest).not.toBe(old);
    expect((await stage.entries("policy")).map(({ policy: templates }) => templates)).toEqual([
      policy.current.digest,
      policy.current.digest,
    ]);
  });

  test("is watched as they are", async ({ skip }) => {
    const policy = await load(skip);
    using _watch = new PolicyWatch({ policy, files: stage.files, log: stage.parts.log, interval: 30 });
    install("2m");
    await expect.poll(async () => (await ask(policy))[0], { timeout: 20_000 }).toBe(120);
    expect((await stage.entries("policy")).map(({ by }) => by)).toEqual(["start", "change"]);
  });

  test("that would widen denies, and the status says that a run had no answer until one has", async ({ skip }) => {
    const policy = await load(skip);
    install("1h");
    await policy.reload("signal");
    await expect(ask(policy)).rejects.toMatchObject({
      code: "last-word-unavailable",
      message: "the site's last word could not be had, so the answer is no",
      detail: "the answer gives api a longer life than the template does",
    });
    expect(policy.trouble()).toEqual([{ code: "last-word-unavailable", about: "the last run that asked had no answer" }]);
    install("5m");
    await policy.reload("signal");
    expect((await ask(policy))[0]).toBe(300);
    expect(policy.trouble()).toEqual([]);
  });
});

const stranger = 61_499;

const flaws: readonly (readonly [says: string, harm: () => void, problem: RegExp])[] = [
  ["is gone", () => rmSync(bundle()), /bundle\.tar\.gz: cannot be read \(ENOENT\)/],
  ["is empty", () => writeFileSync(bundle(), ""), /bundle\.tar\.gz: is neither a bundle\.tar\.gz nor a policy\.wasm/],
  ["is another file", () => copyFileSync(join(stage.templates, "deploy.yaml"), bundle()), /is neither a bundle/],
  ["belongs to a job's user", () => chownSync(bundle(), stranger, stranger), /bundle\.tar\.gz: belongs to user 61499/],
  ["can be written by its group", () => chmodSync(bundle(), 0o664), /bundle\.tar\.gz: can be written by others/],
  [
    "is in a folder that everybody can write",
    () => chmodSync(join(stage.folder, "opa"), 0o777),
    /its folder: can be written by others/,
  ],
  [
    "is in a folder of a job's user",
    () => chownSync(join(stage.folder, "opa"), stranger, stranger),
    /its folder: belongs to user 61499/,
  ],
  ["is a link", () => linked(), /bundle\.tar\.gz: a symbolic link/],
  ["is too large", () => writeFileSync(bundle(), Buffer.alloc(9 * 1024 * 1024)), /longer than 8192 KiB/],
];

function linked(): void {
  renameSync(bundle(), join(stage.folder, "elsewhere"));
  symlinkSync(join(stage.folder, "elsewhere"), bundle());
}

describe("a bundle that cannot be believed", () => {
  test.for(flaws)("is no start where it %s", async ([, harm, problem], { skip }) => {
    if (missing !== undefined) skip(missing);
    install("5m");
    harm();
    await expect(PolicyInForce.load(stage.parts)).rejects.toMatchObject({
      code: "policy-invalid",
      message: expect.stringMatching(problem),
    });
    expect(await recorded()).toEqual([]);
  });

  test.for(flaws)("keeps what is in force, good new templates too, where it %s", async ([, harm, problem], { skip }) => {
    const policy = await load(skip);
    const { digest } = policy.current;
    stage.put("deploy", template("deploy", "9m"));
    harm();
    await expect(policy.reload("signal")).rejects.toMatchObject({ message: expect.stringMatching(problem) });
    expect([policy.current.digest, (await ask(policy))[0]]).toEqual([digest, 300]);
    expect(await stage.entries("policy-refused")).toMatchObject([{ problems: 1, first: expect.stringMatching(problem) }]);
  });

  test("is all that is wrong with it, in one list with what is wrong with the templates", async ({ skip }) => {
    const policy = await load(skip);
    chmodSync(bundle(), 0o666);
    chmodSync(join(stage.templates, "deploy.yaml"), 0o666);
    await expect(policy.reload("operator")).rejects.toMatchObject({ message: expect.stringMatching(/^2 problems/) });
  });
});

describe("a server", () => {
  test("is asked, is not on record as a bundle, and denies while it is away", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    await using opa = await startOpa(rego, { ttl: "4m" });
    await using site = await openPolicyStage(() => `last_word: { server: "${opa.address}" }`);
    site.put("deploy", template("deploy"));
    const policy = await PolicyInForce.load(site.parts);
    const [outcome, decision] = await ask(policy);
    expect([outcome, decision]).toEqual([240, expect.stringMatching(/^opa:[0-9a-f-]{36}$/)]);
    await opa.stop();
    await expect(ask(policy)).rejects.toMatchObject({ code: "last-word-unavailable" });
    expect(policy.trouble()).toMatchObject([{ code: "last-word-unavailable" }]);
    expect((await site.entries("policy")).map(({ lastWord }) => lastWord)).toEqual([null]);
  });

  test("need not be there when the broker starts", async () => {
    const port = await freePort();
    await using site = await openPolicyStage(() => `last_word: { server: "http://127.0.0.1:${port}" }`);
    site.put("deploy", template("deploy"));
    const policy = await PolicyInForce.load(site.parts);
    await expect(ask(policy)).rejects.toMatchObject({ code: "last-word-unavailable" });
  });
});

test("there is none where mayfly.yaml names none", async () => {
  await using site = await openPolicyStage();
  site.put("deploy", template("deploy"));
  expect((await PolicyInForce.load(site.parts)).lastWord).toBeUndefined();
});
