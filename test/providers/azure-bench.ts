import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JSONWebKeySet } from "jose";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Intent, Minted, Proof, ProofKind, Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { type Duration, systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { type Entra, management, startEntra, tenant } from "../servers/entra.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { configured } from "./configured.ts";

/** The stand-in for Azure behind a proxy that can fail, and an azure provider that goes through it. */
export interface AzureBench extends AsyncDisposable {
  readonly entra: Entra;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  /** Another provider of the same upstream. */
  again(config?: Readonly<Record<string, unknown>>, as?: ProofKind): Promise<Provider<unknown>>;
}

/** What Entra's tokens live at most. */
export const life: Duration = 5_400_000;

export const scope = `${management}/.default`;

export async function openAzureBench(): Promise<AzureBench> {
  const stack = new AsyncDisposableStack();
  const authority = await authorityOf("https://mayfly.test");
  const { issuer, jwks } = authority.publicKeys().proofs;
  const entra = stack.use(await startEntra({ issuer, jwks: JSON.parse(JSON.stringify(jwks)) as JSONWebKeySet }));
  const proxy = stack.use(await FaultProxy.start(entra.port));
  const { address } = proxy;
  const endpoints = { login: address, vaults: { "shop-ci": address } };
  const again: AzureBench["again"] = (more = {}, as = "broker") =>
    configured("azure", { tenant, endpoints, allow_plaintext: true, timeout: "2s", ...more }, { authority, as });
  return { entra, proxy, authority, provider: await again(), again, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** A broker's keys, with a name of its own or a clock of its own. */
export async function authorityOf(issuerUrl: string, age: Duration = 0): Promise<BrokerAuthority> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  const clock = { ...systemClock, now: () => Date.now() - age };
  const authority = await openAuthority({ folder, issuerUrl, clock, random: randomBytes });
  await rm(folder, { recursive: true, force: true });
  return authority;
}

export interface Asking extends Partial<Pick<Intent, "ttl" | "workload">> {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly provider?: Provider<unknown>;
  readonly proof?: Proof;
  readonly signal?: AbortSignal;
}

/** As the broker would: the options parsed, their slots filled, and a proof of its own. */
export async function minted(
  { provider: usual, authority }: AzureBench,
  options: unknown,
  asking: Asking = {},
): Promise<Minted> {
  const { claims = {}, provider = usual, signal = new AbortController().signal, proof, ...parts } = asking;
  const intent = intentOf({ ttl: life }, parts);
  const filled = fill(provider.options.parse(options), claims);
  return provider.mint({ intent, options: filled, proof: proof ?? authority.proofs.mint(intent), signal });
}

/** One request with a job's token, as its tools would send it; the answer's status. */
export async function asJob(
  { entra }: AzureBench,
  token: string,
  [method = "GET", path = "/"]: readonly string[],
): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${entra.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
  });
  await response.arrayBuffer();
  return response.status;
}
