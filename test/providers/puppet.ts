import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { plugin } from "../../providers/plugin.ts";
import { bind } from "../../src/lease/bind.ts";
import type { Authority, EndRequest, Intent, Minted, ProofKind, Provider, Revocation } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import type { TestLodging } from "./lodging.ts";

export const puppetBinary = resolve("test/providers/puppet/mayfly-provider-puppet");

export type Json = Readonly<Record<string, unknown>>;

/** By verb and by call: what puppet/mayfly-provider-puppet does there. */
export type Script = Readonly<Partial<Record<"describe" | "serve" | "Mint" | "Revoke" | "Recover" | "Renew" | "Rotate", Json>>>;

export const manifest = {
  protocol: 1,
  name: "puppet",
  about: "Does what it is told",
  proves: ["host", "broker"],
  options: { kind: { type: "choice", of: ["bearer", "fields", "login", "forever", "short"], about: "What to give" } },
  cases: [
    { when: { kind: "fields" }, gives: "fields", ends: "static" },
    { when: { kind: "login" }, gives: "username-password", ends: "revoke", renew: true },
    { when: { kind: "short" }, gives: "bearer", ends: "expires" },
    { gives: "bearer", ends: "revoke" },
  ],
};

export const ttl = 600_000;

/** Of a bearer token that is all right; what a test changes of it is the test. */
export function given(material: Json = { bearer: { token: "tok-LEASE-secret" } }, ending: Json = revocable()): Json {
  return { minted: { material, ending } };
}

export function revocable(parts: Json = {}): Json {
  return { revoke: { handle: { id: "LEASE" }, expiresAt: inMilliseconds(ttl), ...parts } };
}

export function inMilliseconds(span: number): string {
  return new Date(Date.now() + span).toISOString();
}

/** What only this broker opens, as far as a test can see. */
export const authority: Authority = {
  signJwt: () => Promise.reject(new Error("unasked")),
  issueCertificate: () => Promise.reject(new Error("unasked")),
  issueSshCertificate: () => Promise.reject(new Error("unasked")),
  seal: (secret) => secret.use((bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x5a)).toString("base64url")),
  unseal: (text) => Secret.of(Buffer.from(text, "base64url").map((byte) => byte ^ 0x5a)),
};

export const brokersProof = "eyJ-the-broker's-own-proof";

export interface Puppet {
  readonly provider: Provider<unknown>;
  readonly folder: string;
  play(script: Script): void;
  mint(options?: Json, parts?: Partial<Intent>, signal?: AbortSignal): Promise<Minted>;
  revocation(): Revocation<unknown>;
  readonly ending: EndRequest;
  /** What it wrote down, line by line: `starts`, `calls`, `made`. */
  wrote(file: string): readonly Json[];
}

export interface Strings {
  readonly script?: Script;
  readonly as?: ProofKind;
  readonly entry?: Json;
  readonly timeout?: string;
}

export function pull(home: TestLodging, { script = {}, as = "host", entry = {}, timeout = "2s" }: Strings = {}): Puppet {
  const folder = join(home.folder, "script");
  mkdirSync(folder, { recursive: true });
  const play = (part: Script): void =>
    writeFileSync(
      join(folder, "script.json"),
      JSON.stringify({ describe: { manifest }, Mint: { body: given() }, ...script, ...part }),
    );
  play({});
  const binary = home.install(puppetBinary);
  const context = { clock: systemClock, authority, as, lodging: home.lodging };
  const provider = bind(plugin).configure({ command: [binary, folder], timeout, ...entry }, context);
  const proof = { token: () => Promise.resolve(Secret.of(brokersProof)) };
  const never = new AbortController().signal;
  return {
    provider,
    folder,
    play,
    mint: (options = { kind: "bearer" }, parts = {}, signal = never) =>
      provider.mint({ intent: intentOf({ ttl }, parts), options, proof, signal }),
    revocation: () => {
      if (provider.revocation === "none") throw new Error("it cannot revoke");
      return provider.revocation;
    },
    ending: { proof, signal: never },
    wrote: (file) => {
      const path = join(folder, file);
      const lines = existsSync(path) ? readFileSync(path, "utf8").trim().split("\n") : [];
      return lines.map((line) => (line.startsWith("{") ? (JSON.parse(line) as Json) : { line }));
    },
  };
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** On a busy host a start may take longer than a test lets a call wait. */
export async function started(puppet: Puppet): Promise<void> {
  const once = (): Promise<boolean> =>
    puppet.mint().then(
      () => true,
      () => false,
    );
  for (let left = 20; left > 0; left -= 1) if (await once()) return;
  throw new Error("it does not start");
}

export async function until(holds: () => boolean, patience = 5_000): Promise<void> {
  const deadline = Date.now() + patience;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error("it did not come about in time");
    await systemClock.sleep(20);
  }
}
