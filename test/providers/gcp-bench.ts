import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JSONWebKeySet } from "jose";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Minted, ProofKind, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { fill } from "../../src/policy/slots.ts";
import { type Duration, systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type Google, pool, startGoogle } from "../servers/google.ts";
import { configured } from "./configured.ts";

/** The stand-in for Google behind a proxy that can fail, and a gcp provider that goes through it. */
export interface GcpBench extends AsyncDisposable {
  readonly google: Google;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  /** Another provider of the same upstream. */
  again(config?: Readonly<Record<string, unknown>>, as?: ProofKind): Promise<Provider<unknown>>;
}

export const objects = "projects/_/buckets/shop-artifacts/objects";

export async function openGcpBench(): Promise<GcpBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const { issuer, jwks } = authority.publicKeys().proofs;
  const google = stack.use(await startGoogle({ issuer, jwks: JSON.parse(JSON.stringify(jwks)) as JSONWebKeySet }));
  const proxy = stack.use(await FaultProxy.start(google.port));
  const { address } = proxy;
  const endpoints = { sts: address, iamcredentials: address, secretmanager: address };
  const again: GcpBench["again"] = (more = {}, as = "broker") =>
    configured("gcp", { pool, endpoints, allow_plaintext: true, timeout: "2s", ...more }, { authority, as });
  return { google, proxy, authority, provider: await again(), again, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export interface Asking {
  readonly ttl?: Duration;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly provider?: Provider<unknown>;
  readonly signal?: AbortSignal;
}

/** As the broker would: the options parsed, their slots filled, and a proof of its own. */
export async function minted({ provider: usual, authority }: GcpBench, options: unknown, asking: Asking = {}): Promise<Minted> {
  const { ttl = 600_000, claims = {}, provider = usual, signal = new AbortController().signal } = asking;
  const intent = intentOf({ ttl });
  const filled = fill(provider.options.parse(options), claims);
  return provider.mint({ intent, options: filled, proof: authority.proofs.mint(intent), signal });
}

export function bearerOf(material: Material): string {
  if (material.kind !== "bearer") throw new Error(`that is ${material.kind}`);
  return material.token.use((bytes) => bytes.toString("utf8"));
}

export function textsOf(material: Material): Readonly<Record<string, string>> {
  if (material.kind !== "fields") throw new Error(`that is ${material.kind}`);
  return Object.fromEntries(
    Object.entries(material.fields).map(([name, field]) => [name, field.use((bytes) => bytes.toString("utf8"))]),
  );
}

/** One request with a job's token, as its tools would send it; the answer's status. */
export async function asJob(
  { google }: GcpBench,
  token: string,
  [method = "GET", path = "/"]: readonly string[],
): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${google.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  });
  await response.arrayBuffer();
  return response.status;
}

export const read = (bucket: string, name: string): readonly string[] => [
  "GET",
  `/storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`,
];
export const write = (bucket: string, name: string): readonly string[] => [
  "POST",
  `/upload/storage/v1/b/${bucket}/o?name=${encodeURIComponent(name)}`,
];
