import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { systemClock } from "../../src/time.ts";
import { type Aws, startAws } from "../servers/aws.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { account, region } from "../servers/seaweedfs.ts";
import type { AwsKeys } from "../servers/sigv4.ts";
import { configured } from "./configured.ts";

/** SeaweedFS's STS and S3 behind a proxy that can fail, and an aws provider that goes through it. */
export interface AwsBench extends AsyncDisposable {
  readonly aws: Aws;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  /** Another provider of the same upstream. */
  again(config: Readonly<Record<string, unknown>>, as?: ProofKind): Promise<Provider<unknown>>;
}

export const audience = "sts.amazonaws.com";
export const role = `arn:aws:iam::${account}:role/ci-deploy`;
export const mine = "/shop/519283746";

export const options = {
  role,
  policy: {
    Statement: [{ Effect: "Allow", Action: ["s3:PutObject", "s3:GetObject"], Resource: ["arn:aws:s3:::shop/519283746/*"] }],
  },
};

export async function openAwsBench(config: Readonly<Record<string, unknown>> = {}, stored?: number): Promise<AwsBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const { issuer, jwks } = authority.publicKeys().proofs;
  const aws = stack.use(await startAws({ issuer, audience, keys: jwks, ...(stored === undefined ? {} : { stored }) }));
  const proxy = stack.use(await FaultProxy.start(aws.port));
  const { address } = proxy;
  const endpoints = { sts: address, iam: address, secretsmanager: address, ssm: address };
  const again: AwsBench["again"] = (more, as = "broker") =>
    configured("aws", { region, endpoints, allow_plaintext: true, timeout: "2s", ...more }, { authority, as });
  return { aws, proxy, authority, provider: await again(config), again, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export function keysOf(material: Material): AwsKeys {
  if (material.kind !== "aws-session") throw new Error(`that is ${material.kind}`);
  const text = (bytes: Buffer): string => bytes.toString("utf8");
  const { accessKeyId, secretAccessKey, sessionToken } = material;
  return { accessKeyId, secretAccessKey: secretAccessKey.use(text), sessionToken: sessionToken.use(text) };
}
