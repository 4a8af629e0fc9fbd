import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Intent, Minted, Proof, Provider } from "../../src/lease/provider.ts";
import { intentOf } from "../conformance/provider.ts";
import { account, region } from "../servers/seaweedfs.ts";
import { seaweedMissing } from "../servers/seaweedfs-binary.ts";
import { type AwsKeys, sendSigned } from "../servers/sigv4.ts";
import { type AwsBench, keysOf, mine, openAwsBench, options } from "./aws-bench.ts";

const missing = seaweedMissing();
const never = new AbortController().signal;
const ttl = 900_000;

let bench: AwsBench;
let provider: Provider<unknown>;
beforeAll(async () => {
  if (missing !== undefined) return;
  bench = await openAwsBench({ sweeper: { role: "mayfly-sweeper" } });
  provider = bench.provider;
});
beforeEach(({ skip }) => void (missing !== undefined && skip(missing)));
afterAll(async () => {
  vi.unstubAllEnvs();
  if (missing === undefined) await bench[Symbol.asyncDispose]();
});

function mint(asked: unknown = options, intent: Intent = intentOf({ ttl }), by = provider): Promise<Minted> {
  return by.mint({ intent, options: asked, proof: bench.authority.proofs.mint(intent), signal: never });
}

async function end({ ending }: Minted): Promise<void> {
  if (ending.kind !== "revoke" || provider.revocation === "none") throw new Error("it cannot be ended");
  await provider.revocation.revoke(ending.handle, { proof: bench.authority.proofs.end("lse-x"), signal: never });
}

const tries: readonly (readonly [string, string, string, number])[] = [
  ["write where it was granted", "PUT", `${mine}/build.tar`, 200],
  ["read there", "GET", `${mine}/build.tar`, 200],
  ["write beside it", "PUT", "/shop/519283747/build.tar", 403],
  ["read beside it", "GET", "/shop/519283747/build.tar", 403],
  ["delete what it wrote", "DELETE", `${mine}/build.tar`, 403],
  ["list the bucket", "GET", "/shop?list-type=2", 403],
  ["make a bucket", "PUT", "/another", 403],
  ["change who may do what", "PUT", "/shop?policy=", 403],
];

describe("what S3 lets the session do", () => {
  let keys: AwsKeys;
  beforeAll(async () => {
    if (missing === undefined) keys = keysOf((await mint()).material);
  });

  it.each(tries)("%s: %s %s gives %i", async (_, method, path, status) => {
    expect(await bench.aws.seaweed.s3(keys, method, path, method === "PUT" ? "hello" : undefined)).toBe(status);
  });

  it("takes on no further role, whose session would have no session policy, not even one that trusts everybody", async () => {
    const body = new URLSearchParams({
      Action: "AssumeRole",
      Version: "2011-06-15",
      RoleArn: `arn:aws:iam::${account}:role/ci-anyone`,
      RoleSessionName: "chained",
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const url = new URL(`http://127.0.0.1:${bench.aws.seaweed.port}/`);
    const ask = (who: AwsKeys): Promise<Response> =>
      sendSigned(who, { method: "POST", url, service: "sts", region, body: body.toString(), headers });
    expect((await ask(keys)).status).toBe(403);
    // The control: whom the role trusts may.
    expect((await ask(bench.aws.seaweed.host)).status).toBe(200);
  });

  it("never has more than its role, whatever the template's policy says", async () => {
    const reading = keysOf((await mint({ ...options, role: `arn:aws:iam::${account}:role/ci-read` })).material);
    expect(await bench.aws.seaweed.s3(reading, "GET", `${mine}/build.tar`)).toBe(200);
    expect(await bench.aws.seaweed.s3(reading, "PUT", `${mine}/build.tar`, "hello")).toBe(403);
  });
});

describe("what STS is asked", () => {
  it("a session policy always, the lease's name, and as long as the lease", async () => {
    const intent = intentOf({ ttl: 1_800_000 });
    await mint(options, intent);
    const form = bench.aws.asked.at(-1);
    expect(Object.fromEntries(form ?? [])).toMatchObject({
      Action: "AssumeRoleWithWebIdentity",
      RoleArn: options.role,
      RoleSessionName: intent.lease,
      DurationSeconds: "1800",
      Policy:
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::shop/519283746/*"},{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}',
    });
  });

  it("tags and a source identity, in the claims that AWS reads", async () => {
    const intent = intentOf({ ttl });
    await mint({ ...options, tags: { project: "shop" }, source_identity: "mona" }, intent);
    expect(claims()).toMatchObject({
      sub: intent.workload,
      lease: intent.lease,
      purpose: "mint",
      "https://aws.amazon.com/tags": {
        principal_tags: { project: ["shop"], "mayfly-template": [intent.template], "mayfly-workload": [intent.workload] },
        transitive_tag_keys: [],
      },
      "https://aws.amazon.com/source_identity": "mona",
    });
    await mint(options, intent);
    expect(claims()).toMatchObject({ "https://aws.amazon.com/source_identity": intent.lease });
  });

  it("a workload as it is, and what a tag cannot hold so that it stays another's", async () => {
    const tagOf = async (workload: string): Promise<unknown> => {
      await mint(options, intentOf({ ttl }, { workload }));
      const { "https://aws.amazon.com/tags": tags } = claims();
      return tags?.principal_tags["mayfly-workload"];
    };
    expect(await tagOf("jenkins:https%3A//ci.example.com/job/shop")).toEqual(["jenkins:https=253A//ci.example.com/job/shop"]);
    expect(await tagOf("x=y|ü")).toEqual(["x=3Dy=7Cü"]);
  });

  it("as the host the same in parameters, signed with the SDK's own chain", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", bench.aws.seaweed.host.accessKeyId);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", bench.aws.seaweed.host.secretAccessKey);
    const intent = intentOf({ ttl });
    const minted = await mint({ ...options, tags: { project: "shop" } }, intent, await bench.again({}, "host"));
    expect(minted.ending.kind).toBe("expires");
    expect(await bench.aws.seaweed.s3(keysOf(minted.material), "PUT", `${mine}/x`, "x")).toBe(200);
    expect(Object.fromEntries(bench.aws.asked.at(-1) ?? [])).toMatchObject({
      Action: "AssumeRole",
      RoleSessionName: intent.lease,
      SourceIdentity: intent.lease,
      Policy: expect.stringContaining('{"Effect":"Deny","Action":"sts:*","Resource":"*"}'),
      "Tags.member.1.Key": "project",
      "Tags.member.1.Value": "shop",
      "Tags.member.2.Key": "mayfly-template",
      "Tags.member.3.Key": "mayfly-workload",
    });
  });

  it("as the job its own token alone, to which nothing is added", async () => {
    const intent = intentOf({ ttl });
    const token = vi.fn<Proof["token"]>(bench.authority.proofs.mint(intent).token);
    await (await bench.again({}, "job")).mint({ intent, options, proof: { token }, signal: never });
    expect(token).toHaveBeenCalledExactlyOnceWith("sts.amazonaws.com", undefined);
  });

  it("a proof that was made to end sessions gives no job one", async () => {
    const intent = intentOf({ ttl });
    const work = provider.mint({ intent, options, proof: bench.authority.proofs.end(intent.lease), signal: never });
    await expect(work).rejects.toMatchObject({ code: "provider-refused" });
  });

  interface Claims {
    readonly "https://aws.amazon.com/tags"?: { readonly principal_tags: Readonly<Record<string, readonly string[]>> };
  }

  function claims(): Claims {
    const [, payload = ""] = bench.aws.asked.at(-1)?.get("WebIdentityToken")?.split(".") ?? [];
    return JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Claims;
  }
});

describe("a session that is ended", () => {
  it("ends alone: its neighbour of the same role works on", async () => {
    const [ended, neighbour] = [await mint(), await mint()];
    await end(ended);
    expect(await bench.aws.seaweed.s3(keysOf(ended.material), "GET", `${mine}/x`)).toBe(403);
    expect(await bench.aws.seaweed.s3(keysOf(neighbour.material), "GET", `${mine}/x`)).toBe(200);
  });

  it("leaves behind nothing whose session has expired, and touches no policy of others", async () => {
    const past = Math.floor(Date.now() / 1_000) - 600;
    bench.aws.put("ci-deploy", `mayfly-ended.${past}.lse-old`, "{}");
    bench.aws.put("ci-deploy", `mayfly-ended.${past + 595}.lse-just-now`, "{}");
    bench.aws.put("ci-deploy", "baseline", "{}");
    await end(await mint());
    const left = [...(bench.aws.inline.get("ci-deploy")?.keys() ?? [])];
    expect(left).not.toContain(`mayfly-ended.${past}.lse-old`);
    expect(left).toEqual(expect.arrayContaining([`mayfly-ended.${past + 595}.lse-just-now`, "baseline"]));
  });

  it("makes room first where IAM's quota is used up by the expired", async () => {
    const past = Math.floor(Date.now() / 1_000) - 600;
    bench.aws.put("ci-deploy", `mayfly-ended.${past}.lse-big`, "x".repeat(10_000));
    const minted = await mint();
    await end(minted);
    expect(await bench.aws.seaweed.s3(keysOf(minted.material), "GET", `${mine}/x`)).toBe(403);
  });

  it("says so where it is used up by others, and is ended once there is room", async () => {
    bench.aws.put("ci-deploy", "somebody-elses", "x".repeat(10_200));
    const minted = await mint();
    await expect(end(minted)).rejects.toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("10,240 characters"),
    });
    bench.aws.put("ci-deploy", "somebody-elses", "{}");
    await end(minted);
    expect(await bench.aws.seaweed.s3(keysOf(minted.material), "GET", `${mine}/x`)).toBe(403);
  });

  it("takes no more than a sixtieth of the quota", () => {
    const all = [...(bench.aws.inline.get("ci-deploy") ?? [])];
    const [, document = ""] = all.find(([name]) => name.startsWith("mayfly-ended.") && name.includes("lse-")) ?? [];
    expect(document.length).toBeLessThan(10_240 / 60);
  });

  it("is ended by a session that may touch that one role's inline policies, and nothing else", async () => {
    await end(await mint());
    const sweeper = bench.aws.given.findLast(({ role }) => role.endsWith(":role/mayfly-sweeper"));
    expect(JSON.parse(sweeper?.policy ?? "{}")).toEqual({
      Version: "2012-10-17",
      Statement: [
        {
          Effect: "Allow",
          Action: ["iam:ListRolePolicies", "iam:PutRolePolicy", "iam:DeleteRolePolicy"],
          Resource: options.role,
        },
      ],
    });
  });
});
