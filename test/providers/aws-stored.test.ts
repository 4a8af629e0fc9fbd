import { IAMClient } from "@aws-sdk/client-iam";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { endSession, handleOf } from "../../providers/aws/deny.ts";
import type { Material } from "../../src/material.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { motoMissing, startMoto } from "../servers/moto.ts";
import { account, region } from "../servers/seaweedfs.ts";
import { seaweedMissing } from "../servers/seaweedfs-binary.ts";
import { sendSigned } from "../servers/sigv4.ts";
import { type AwsBench, openAwsBench } from "./aws-bench.ts";

/** moto takes every signature and policy: here it is asked only whether we speak these services as others do. */
const missing = seaweedMissing() ?? motoMissing();
const role = `arn:aws:iam::${account}:role/ci-read`;
const stack = new AsyncDisposableStack();
const anyone = { accessKeyId: "testing", secretAccessKey: "testing" };
let port: number;
let bench: AwsBench;

async function moto(service: string, target: string, body: object): Promise<void> {
  const url = new URL(`http://127.0.0.1:${port}/`);
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
  const response = await sendSigned(anyone, { method: "POST", url, service, region, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${target}: ${await response.text()}`);
}

beforeAll(async () => {
  if (missing !== undefined) return;
  port = stack.use(await startMoto()).port;
  bench = stack.use(await openAwsBench({}, port));
  await moto("secretsmanager", "secretsmanager.CreateSecret", { Name: "ci/npm", SecretString: '{"token":"t-1","port":4873}' });
  await moto("secretsmanager", "secretsmanager.CreateSecret", { Name: "ci/text", SecretString: "just text" });
  await moto("secretsmanager", "secretsmanager.CreateSecret", {
    Name: "ci/bytes",
    SecretBinary: Buffer.from([0, 255, 10]).toString("base64"),
  });
  await moto("secretsmanager", "secretsmanager.CreateSecret", { Name: "ci/gone", SecretString: "x" });
  await moto("secretsmanager", "secretsmanager.DeleteSecret", { SecretId: "ci/gone" });
  await moto("ssm", "AmazonSSM.PutParameter", { Name: "/ci/519/token", Value: "first", Type: "SecureString" });
  await moto("ssm", "AmazonSSM.PutParameter", {
    Name: "/ci/519/token",
    Value: "second",
    Type: "SecureString",
    Overwrite: true,
  });
});
beforeEach(({ skip }) => void (missing !== undefined && skip(missing)));
afterAll(async () => {
  vi.unstubAllEnvs();
  await stack.disposeAsync();
});

async function read(asked: object): Promise<Record<string, string>> {
  const intent = intentOf({ ttl: 60_000 });
  const proof = bench.authority.proofs.mint(intent);
  const { material, ending } = await bench.provider.mint({
    intent,
    options: { role, ...asked },
    proof,
    signal: new AbortController().signal,
  });
  expect(ending).toEqual({ kind: "static" });
  return textsOf(material);
}

function textsOf(material: Material): Record<string, string> {
  if (material.kind !== "fields") throw new Error(`that is ${material.kind}`);
  return Object.fromEntries(
    Object.entries(material.fields).map(([name, field]) => [name, field.use((bytes) => bytes.toString("latin1"))]),
  );
}

describe("a stored value", () => {
  it.each([
    ["a secret's fields", { secret: "ci/npm" }, { token: "t-1", port: "4873" }],
    ["a secret as it is", { secret: "ci/text", format: "text" }, { value: "just text" }],
    ["a secret of bytes", { secret: "ci/bytes", format: "text" }, { value: "\u0000\u00ff\n" }],
    ["a parameter", { parameter: "/ci/519/token" }, { value: "second" }],
    ["a parameter's older version", { parameter: "/ci/519/token", version: "1" }, { value: "first" }],
  ])("gives %s", async (_, asked, fields) => {
    expect(await read(asked)).toEqual(fields);
  });

  it.each([
    ["a secret that is none", { secret: "ci/none" }, "there is no such secret"],
    ["a secret that is to be deleted", { secret: "ci/gone", format: "text" }, "the secret cannot be read"],
    ["a version that is none", { secret: "ci/npm", stage: "AWSPENDING" }, "there is no such secret"],
    ["a text without fields", { secret: "ci/text" }, "no JSON object"],
    ["a parameter that is none", { parameter: "/ci/520/token" }, "there is no such parameter"],
  ])("refuses %s", async (_, asked, message) => {
    await expect(read(asked)).rejects.toMatchObject({ code: "provider-refused", message: expect.stringContaining(message) });
  });

  it.each([
    [
      { secret: "ci/npm" },
      "secretsmanager:GetSecretValue",
      `arn:aws:secretsmanager:${region}:${account}:secret:ci/npm-??????`,
      "secretsmanager",
    ],
    [{ parameter: "/ci/519/token" }, "ssm:GetParameter", `arn:aws:ssm:${region}:${account}:parameter/ci/519/token`, "ssm"],
  ])("is read by a session that may read %j alone, and decrypt for that", async (asked, action, resource, service) => {
    await read(asked);
    const via = `${service}.${region}.amazonaws.com`;
    expect(JSON.parse(bench.aws.asked.at(-1)?.get("Policy") ?? "{}")).toEqual({
      Version: "2012-10-17",
      Statement: [
        { Effect: "Allow", Action: action, Resource: resource },
        {
          Effect: "Allow",
          Action: "kms:Decrypt",
          Resource: "*",
          Condition: { StringEquals: { "kms:ViaService": [via, `${via}.cn`] } },
        },
      ],
    });
    expect(bench.aws.asked.at(-1)?.get("DurationSeconds")).toBe("900");
  });
});

describe("a deny, as moto's IAM takes it", () => {
  it("is a policy that IAM's grammar allows, and is put once", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "testing");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "testing");
    const address = `http://127.0.0.1:${port}`;
    const iam = new IAMClient({ endpoint: address, region, credentials: anyone });
    const { CreateRoleCommand, GetRolePolicyCommand, ListRolePoliciesCommand } = await import("@aws-sdk/client-iam");
    await iam.send(new CreateRoleCommand({ RoleName: "ci-deploy", AssumeRolePolicyDocument: trust }));
    const names = async (): Promise<readonly string[]> =>
      (await iam.send(new ListRolePoliciesCommand({ RoleName: "ci-deploy" }))).PolicyNames ?? [];
    const asker = {
      config: { region, endpoints: { sts: address, iam: address }, audience: "x", allow_plaintext: true, timeout: 5_000 },
      authority: undefined,
      clock: systemClock,
      signal: new AbortController().signal,
      proof: undefined,
    };
    // Whom moto takes everybody for that it did not give keys to.
    const handle = handleOf("arn:aws:iam::123456789012:role/ci-deploy", "lse-1", Date.now() + 900_000);
    await endSession(asker, handle, "mayfly-sweeper");
    await endSession(asker, handle, "mayfly-sweeper");
    const [name = ""] = await names();
    expect(name).toMatch(/^mayfly-ended\.\d+\.lse-1$/);
    const { PolicyDocument = "" } = await iam.send(new GetRolePolicyCommand({ RoleName: "ci-deploy", PolicyName: name }));
    expect(JSON.parse(decodeURIComponent(PolicyDocument))).toEqual({
      Version: "2012-10-17",
      Statement: [{ Effect: "Deny", Action: "*", Resource: "*", Condition: { StringLike: { "aws:userid": "*:lse-1" } } }],
    });
  });
});

const trust = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { AWS: "*" }, Action: "sts:AssumeRole" }],
});
