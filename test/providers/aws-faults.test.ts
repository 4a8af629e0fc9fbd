import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Intent, Minted, ProofKind } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { errorXml } from "../servers/aws.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { options } from "./aws-bench.ts";
import { configured } from "./configured.ts";

/** Answers as AWS words them (STS and Secrets Manager, "Errors"); nobody is behind the proxy, so that each is the only one. */
let proxy: FaultProxy;
let authority: BrokerAuthority;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  proxy = stack.use(await FaultProxy.start(1));
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIAHOST000000000000");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "the-hosts-own-secret");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await stack.disposeAsync();
});

const ttl = 3_600_000;

async function mint(asked: unknown = options, intent: Intent = intentOf({ ttl }), as: ProofKind = "broker"): Promise<Minted> {
  const { address } = proxy;
  const endpoints = { sts: address, iam: address, secretsmanager: address, ssm: address };
  const provider = await configured(
    "aws",
    { region: "eu-central-1", endpoints, allow_plaintext: true, timeout: "1s" },
    { authority, as },
  );
  const proof = authority.proofs.mint(intent);
  return provider.mint({ intent, options: asked, proof, signal: new AbortController().signal });
}

const xml = { "content-type": "text/xml" };

function answer(status: number, body: string): void {
  proxy.next({ kind: "answer", status, body, headers: xml });
}

const refusals: readonly (readonly [string, readonly [number, string], string, readonly [RegExp, RegExp]])[] = [
  ["a wrong audience", [400, "InvalidIdentityToken"], "provider-refused", [/broker's proof/, /identity provider/]],
  [
    "a claim that the identity provider refuses",
    [403, "IDPRejectedClaim"],
    "provider-refused",
    [/broker's proof/, /client ids/],
  ],
  ["keys that cannot be fetched", [400, "IDPCommunicationError"], "provider-unavailable", [/cannot fetch/, /keys publish/]],
  ["a proof that is over", [400, "ExpiredTokenException"], "provider-refused", [/too old/, /time server/]],
  ["a clock that is wrong", [400, "RequestExpired"], "provider-refused", [/too old/, /time server/]],
  [
    "an unknown role, or one that does not trust us",
    [403, "AccessDenied"],
    "provider-refused",
    [/take on the role/, /sts:TagSession/],
  ],
  ["a policy that is too large when packed", [400, "PackedPolicyTooLarge"], "provider-refused", [/too large/, /fewer tags/]],
  ["a policy that AWS cannot read", [400, "MalformedPolicyDocument"], "provider-refused", [/session policy/, /editor/]],
  ["a region that is off", [403, "RegionDisabledException"], "provider-refused", [/switched off/, /activate/]],
  ["keys of nobody", [403, "InvalidClientTokenId"], "provider-refused", [/host's credentials/, /get-caller-identity/]],
  ["too many requests", [400, "Throttling"], "provider-unavailable", [/no more requests/, /rate/]],
  ["too many requests, said another way", [400, "RequestLimitExceeded"], "provider-unavailable", [/no more requests/, /rate/]],
  ["a service that is down", [503, "ServiceUnavailable"], "provider-unavailable", [/no more requests/, /rate/]],
];

describe("what AWS answers, and what becomes of it", () => {
  it.each(refusals)("%s: %j is %s, with a hint", async (_, [status, code], expected, [message, hint]) => {
    answer(status, errorXml(code, "AWS's own words"));
    const before = proxy.seen.length;
    const error: unknown = await mint().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expected, message: expect.stringMatching(message), hint: expect.stringMatching(hint) });
    expect(error).toMatchObject({ detail: expect.stringContaining("AWS's own words") });
    // AWS's words are the operator's alone, and nothing was asked a second time, least of all for more.
    expect(error).not.toMatchObject({ message: expect.stringContaining("AWS's own words") });
    expect(proxy.seen.length).toBe(before + 1);
  });

  it.each([
    ["The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", /maximum session duration/],
    ["The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.", /at most 1h/],
  ])("a life that the role does not take: %s", async (words, hint) => {
    answer(400, errorXml("ValidationError", words));
    await expect(mint()).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringMatching(hint) });
  });

  it("is not certain that nothing happened after a 500", async () => {
    answer(500, errorXml("InternalFailure", "boom"));
    await expect(mint()).rejects.not.toHaveProperty("code");
  });

  it("hides the host's keys where AWS quotes the request", async () => {
    answer(403, errorXml("SignatureDoesNotMatch", "The string should have been the-hosts-own-secret"));
    const error: unknown = await mint(options, intentOf({ ttl }), "host").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "provider-refused", detail: expect.stringContaining("[secret]") });
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain("the-hosts-own-secret");
  });
});

interface Given {
  readonly arn?: string;
  readonly seconds?: number;
  readonly source?: string;
}

function session({ arn, seconds = 3_500, source }: Given, { lease }: Intent): string {
  const expiration = new Date(Date.now() + seconds * 1_000).toISOString();
  const user = arn ?? `arn:aws:sts::111122223333:assumed-role/ci-deploy/${lease}`;
  return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA0123456789ABCDEF</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>${expiration}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROA:x</AssumedRoleId><Arn>${user}</Arn></AssumedRoleUser>${source === undefined ? "" : `<SourceIdentity>${source}</SourceIdentity>`}</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
}

describe("an answer that is not what was asked for", () => {
  const asGiven = async (given: Given): Promise<Minted> => {
    const intent = intentOf({ ttl });
    answer(200, session(given, intent));
    return mint(options, intent);
  };

  it("is the control: this one is taken", async () => {
    expect(await asGiven({})).toMatchObject({ material: { kind: "aws-session" }, ending: { kind: "expires" } });
  });

  it.each([
    ["lives longer", { seconds: 3_660 }, /longer/],
    ["lives ten years", { seconds: 315_360_000 }, /longer/],
    ["is over already", { seconds: -1 }, /over already/],
    ["is another's session", { arn: "arn:aws:sts::111122223333:assumed-role/ci-deploy/lse-another" }, /another session/],
    ["is of another role", { arn: "arn:aws:sts::111122223333:assumed-role/admin/lse-x" }, /another session/],
    ["is of another account", { arn: "arn:aws:sts::999922223333:assumed-role/ci-deploy/lse-x" }, /another session/],
    ["has another source identity", { source: "somebody" }, /source identity/],
  ])("is a broken promise when it %s", async (_, given, message) => {
    await expect(asGiven(given)).rejects.toMatchObject({
      code: "provider-broken-promise",
      message: expect.stringMatching(message),
    });
  });
});

describe("what is refused before AWS is asked", () => {
  it.each([
    ["a life under 15 minutes", options, { ttl: 899_999 }, "15m to 12h"],
    ["a life over 12 hours", options, { ttl: 43_200_001 }, "15m to 12h"],
    ["a session's name of 65 characters", options, { lease: `lse-${"x".repeat(61)}` }, "2 to 64 characters"],
    ["a session's name with a slash", options, { lease: "lse/1" }, "2 to 64 characters"],
    ["a workload that no tag can hold", options, { workload: `github:${"%".repeat(84)}` }, "which mayfly-workload is not"],
    ["a template of 257 characters", options, { template: "x".repeat(257) }, "which mayfly-template is not"],
  ])("%s", async (_, asked, part, message) => {
    const before = proxy.seen.length;
    await expect(mint(asked, intentOf({ ttl }, part))).rejects.toMatchObject({
      code: "provider-refused",
      message: expect.stringContaining(message),
    });
    expect(proxy.seen.length).toBe(before);
  });

  it("a policy of 2,049 characters once its slots are filled, and not one of 2,048", async () => {
    const filled = (length: number): object => ({
      ...options,
      policy: { Statement: [{ Effect: "Allow", Action: ["s3:GetObject"], Resource: [`arn:aws:s3:::${"x".repeat(length)}`] }] },
    });
    const sent = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::"},{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}`;
    answer(400, errorXml("MalformedPolicyDocument", "it was sent"));
    await expect(mint(filled(2_048 - sent.length))).rejects.toMatchObject({
      message: expect.stringContaining("does not accept"),
    });
    const before = proxy.seen.length;
    await expect(mint(filled(2_049 - sent.length))).rejects.toMatchObject({
      code: "provider-refused",
      message: expect.stringContaining("2049 characters, and AWS takes at most 2048"),
    });
    expect(proxy.seen.length).toBe(before);
  });

  it("more than an hour where the host's own keys are a session's", async () => {
    vi.stubEnv("AWS_SESSION_TOKEN", "a-session-of-the-host");
    const asked = mint(options, intentOf({ ttl: ttl + 1_000 }), "host");
    await expect(asked).rejects.toMatchObject({
      code: "provider-refused",
      message: expect.stringContaining("at most an hour"),
    });
    answer(403, errorXml("AccessDenied", "it was sent"));
    await expect(mint(options, intentOf({ ttl }), "host")).rejects.toMatchObject({
      message: expect.stringContaining("take on the role"),
    });
    vi.stubEnv("AWS_SESSION_TOKEN", undefined);
  });

  it("a host without any identity", async () => {
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) vi.stubEnv(name, undefined);
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("HOME", "/nonexistent");
    const before = proxy.seen.length;
    await expect(mint(options, intentOf({ ttl }), "host")).rejects.toMatchObject({
      code: "provider-unavailable",
      message: "this host has no AWS identity",
    });
    expect(proxy.seen.length).toBe(before);
  });
});
