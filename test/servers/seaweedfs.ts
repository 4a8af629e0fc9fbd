import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, startProcess } from "./process.ts";
import { seaweedPath } from "./seaweedfs-binary.ts";
import { type AwsKeys, sendSigned } from "./sigv4.ts";

export const account = "111122223333";
export const bucket = "shop";
export const region = "us-east-1";

/** A real SeaweedFS on loopback: STS and S3 on one port, which verify tokens, signatures, trust policies and session policies. */
export interface Seaweed extends AsyncDisposable {
  readonly port: number;
  /** The keys of `user/host`, whom the roles trust with sts:AssumeRole. */
  readonly host: AwsKeys;
  /** One S3 request with these keys; its status. */
  s3(keys: AwsKeys, method: string, path: string, body?: string): Promise<number>;
  /** SeaweedFS has no inline policies of roles; a bucket's policy denies what such a deny would. */
  deny(sessions: readonly string[]): Promise<void>;
}

export interface SeaweedOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Where the issuer's keys are. */
  readonly jwks: string;
}

export async function startSeaweed(options: SeaweedOptions): Promise<Seaweed> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-seaweed-"));
  const ports = await Promise.all(Array.from({ length: 10 }, freePort));
  const [port = 0] = ports;
  const secret = (): string => randomBytes(20).toString("hex");
  const admin = { accessKeyId: "AKIAADMIN00000000000", secretAccessKey: secret() };
  const host = { accessKeyId: "AKIAHOST000000000000", secretAccessKey: secret() };
  await writeFile(join(folder, "s3.json"), JSON.stringify(identities(admin, host)));
  await writeFile(join(folder, "iam.json"), JSON.stringify(iam(options)));
  const s3: Seaweed["s3"] = async (keys, method, path, body) => {
    const url = new URL(`http://127.0.0.1:${port}${path}`);
    return (await sendSigned(keys, { method, url, service: "s3", region, ...(body === undefined ? {} : { body }) })).status;
  };
  let writing = Promise.resolve();
  const server = await startProcess({
    command: seaweedPath(),
    args: argumentsOf(folder, ports),
    env: { HOME: folder, TMPDIR: folder },
    ready: async () => (await s3(admin, "HEAD", `/${bucket}`)) === 200,
  });
  return {
    port,
    host,
    s3,
    deny(sessions) {
      // One after the other, so that what was said last is what holds.
      writing = writing.then(async () => {
        const status = await s3(admin, "PUT", `/${bucket}?policy=`, JSON.stringify(bucketPolicy(sessions)));
        if (status !== 204) throw new Error(`the bucket's policy was not taken: ${status}`);
      });
      return writing;
    },
    async [Symbol.asyncDispose]() {
      await server.stop();
      const left = ports.flatMap((one) =>
        ["master", "volume", "filer", "s3", "admin"].map((name) => `/tmp/seaweedfs-${name}-grpc-${one}.sock`),
      );
      await Promise.all([folder, ...left].map((path) => rm(path, { recursive: true, force: true })));
    },
  };
}

function argumentsOf(folder: string, ports: readonly number[]): readonly string[] {
  const [s3, s3Grpc, master, masterGrpc, volume, volumeGrpc, filer, filerGrpc, admin, adminGrpc] = ports;
  return [
    "mini",
    `-dir=${folder}`,
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.telemetry=false",
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-s3.iam.readOnly=true",
    `-s3.port=${s3}`,
    `-s3.port.grpc=${s3Grpc}`,
    `-master.port=${master}`,
    `-master.port.grpc=${masterGrpc}`,
    `-volume.port=${volume}`,
    `-volume.port.grpc=${volumeGrpc}`,
    `-filer.port=${filer}`,
    `-filer.port.grpc=${filerGrpc}`,
    `-admin.port=${admin}`,
    `-admin.port.grpc=${adminGrpc}`,
    `-s3.localSocket=${folder}/s3.sock`,
    `-filer.localSocket=${folder}/filer.sock`,
    `-s3.config=${folder}/s3.json`,
    `-s3.iam.config=${folder}/iam.json`,
    `-bucket=${bucket}`,
  ];
}

function identities(admin: AwsKeys, host: AwsKeys): object {
  const credentials = ({ accessKeyId, secretAccessKey }: AwsKeys): object => [
    { accessKey: accessKeyId, secretKey: secretAccessKey },
  ];
  return {
    identities: [
      { name: "admin", credentials: credentials(admin), actions: ["Admin"] },
      { name: "host", credentials: credentials(host), actions: [] },
    ],
  };
}

/** What an operator sets up once in AWS (docs/providers/aws.md), in SeaweedFS's words: it spells a token's claims `oidc:…`. */
function iam({ issuer, audience, jwks }: SeaweedOptions): object {
  return {
    sts: {
      tokenDuration: "1h",
      maxSessionLength: "12h",
      issuer: "stand-in",
      signingKey: randomBytes(32).toString("base64"),
      accountId: account,
    },
    providers: [{ name: "mayfly", type: "oidc", enabled: true, config: { issuer, clientId: audience, jwksUri: jwks } }],
    policy: { defaultEffect: "Deny", storeType: "memory" },
    roleStore: { storeType: "memory" },
    roles: [
      role("ci-deploy", { "oidc:purpose": "mint" }, "everything"),
      role("ci-read", { "oidc:purpose": "mint" }, "reading"),
      // Whoever has keys may take it on, so that only a session's own policy can be in the way.
      role("ci-anyone", { "oidc:purpose": "mint" }, "everything", "*"),
      role("mayfly-sweeper", { "oidc:purpose": "end", "oidc:sub": "mayfly:sweeper" }, "nothing"),
    ],
    policies: [
      policy("everything", "Allow", ["s3:*", "sts:*"]),
      policy("reading", "Allow", ["s3:GetObject"]),
      policy("nothing", "Deny", ["s3:*"]),
    ],
  };
}

/** Users of its own configuration belong to no account. */
const hostArn = "arn:aws:iam::000000000000:user/host";

function role(name: string, claims: Readonly<Record<string, string>>, attached: string, host = hostArn): object {
  const allow = (principal: object, action: string, rest: object): object => ({
    Effect: "Allow",
    Principal: principal,
    Action: [action],
    ...rest,
  });
  return {
    roleName: name,
    roleArn: `arn:aws:iam::${account}:role/${name}`,
    trustPolicy: {
      Version: "2012-10-17",
      Statement: [
        allow({ Federated: "mayfly" }, "sts:AssumeRoleWithWebIdentity", { Condition: { StringEquals: claims } }),
        allow({ AWS: host }, "sts:AssumeRole", {}),
      ],
    },
    attachedPolicies: [attached],
  };
}

function policy(name: string, effect: string, actions: readonly string[]): object {
  return { name, document: { Version: "2012-10-17", Statement: [{ Effect: effect, Action: actions, Resource: ["*"] }] } };
}

function bucketPolicy(sessions: readonly string[]): object {
  const resources = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  // It calls the session's name `aws:username`.
  const who = { StringEquals: { "aws:username": ["nobody-at-all", ...sessions] } };
  return {
    Version: "2012-10-17",
    Statement: [{ Effect: "Deny", Principal: "*", Action: ["s3:*"], Resource: resources, Condition: who }],
  };
}
