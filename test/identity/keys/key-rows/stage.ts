import { BrokerError } from "../../../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../../../src/identity/issuers/issuers.ts";
import { readRegularFile } from "../../../../src/identity/keys/file.ts";
import type { KeyHistory } from "../../../../src/identity/keys/key-history.ts";
import { issuerIn } from "../../../../src/identity/keys/key-name.ts";
import { KeyRecord, type KeysChanged } from "../../../../src/identity/keys/key-record.ts";
import { type Fetch, issuerFetch } from "../../../../src/identity/keys/network.ts";
import type { Profile } from "../../../../src/identity/profile.ts";
import { createVerifier, type IssuerReadiness, type Verifier } from "../../../../src/identity/verify.ts";
import { Secret } from "../../../../src/secret.ts";
import type { Clock } from "../../../../src/time.ts";
import {
  audience,
  discovery,
  ecKey,
  githubClaims,
  headerOf,
  now,
  part,
  signed,
  startIssuer,
  type TestIssuer,
  type TestKey,
} from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";

/** One row of the hardening list: tried against a real server, and measured. */
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  run(): Promise<KeyVerdict>;
}

export interface KeyVerdict {
  readonly held: boolean;
  readonly figures: Readonly<Record<string, unknown>>;
}

/** Every part of a bar by its name; those that did not hold are named among the figures. */
export function verdict(bars: Readonly<Record<string, boolean>>, figures: KeyVerdict["figures"] = {}): KeyVerdict {
  const missed = Object.keys(bars).filter((name) => bars[name] !== true);
  return { held: missed.length === 0, figures: missed.length === 0 ? figures : { ...figures, missed } };
}

export const minute = 60_000;

/** An issuer on loopback, and a broker's verifier that reads its keys over real connections. */
export interface KeyStage extends AsyncDisposable {
  readonly issuer: TestIssuer;
  readonly verifier: Verifier;
  readonly records: readonly KeysChanged[];
  /** What the issuer serves; a row may put other keys in. */
  keys: readonly TestKey[];
  /** `accepted`, or the code of the refusal, for a fresh token that this key signed. */
  tried(key: TestKey): Promise<string>;
  readonly readiness: () => IssuerReadiness;
  /** How often the keys were asked for, and the discovery document. */
  readonly fetches: () => number;
  readonly attempts: () => number;
}

export interface StageParts {
  readonly clock?: Clock;
  readonly keys?: readonly TestKey[];
  readonly past?: readonly KeyFact[];
  readonly fetch?: Fetch;
  readonly issuer?: TestIssuer;
  readonly profile?: (profile: Profile, url: string) => Profile;
}

export const goodKey = ecKey("good");

export async function openStage({ profile = (same) => same, ...parts }: StageParts = {}): Promise<KeyStage> {
  const clock = parts.clock ?? new ManualClock(now);
  const records: KeysChanged[] = [];
  const issuer = parts.issuer ?? (await startIssuer(() => ({ keys: stage.keys.map(({ jwk }) => jwk) })));
  const verifier = createVerifier({
    profiles: [profile(profileOf(issuer.url), issuer.url)],
    fetch: parts.fetch ?? issuerFetch,
    readFile: readRegularFile,
    clock,
    history: historyOf(parts.past ?? [], records),
  });
  const stage: KeyStage = {
    issuer,
    verifier,
    records,
    keys: parts.keys ?? [goodKey],
    tried: (key) => outcome(verifier, tokenOf(issuer.url, key, clock.now())),
    readiness: () => readinessOf(verifier),
    fetches: () => issuer.asked.get("/jwks") ?? 0,
    attempts: () => issuer.asked.get(discovery) ?? 0,
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  };
  return stage;
}

export function profileOf(url: string): Profile {
  const config = issuersSchema.parse({
    ci: {
      url,
      audience,
      algorithms: ["RS256", "ES256"],
      workload: ["repository_id"],
      job: ["run_id"],
      allow_private: true,
    },
  });
  const [profile] = compileProfiles(config, () => "");
  if (profile === undefined) throw new Error("no profile");
  return profile;
}

function readinessOf(verifier: Verifier): IssuerReadiness {
  const [first] = verifier.readiness();
  if (first === undefined) throw new Error("no issuer");
  return first;
}

export function tokenOf(issuer: string, key: TestKey, at: number): string {
  const second = Math.floor(at / 1_000);
  return signed(key, headerOf(key), githubClaims(issuer, { nbf: second - 10, iat: second, exp: second + 300 }));
}

/** Well-formed, and signed by nobody: what anybody on the network can make. */
export function forged(issuer: string, kid: string): string {
  return `${part({ alg: "ES256", kid, typ: "JWT" })}.${part(githubClaims(issuer))}.${Buffer.alloc(64, 1).toString("base64url")}`;
}

export async function outcome(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(Secret.of(token), AbortSignal.timeout(60_000));
    return "accepted";
  } catch (error) {
    return error instanceof BrokerError ? error.code : String(error);
  }
}

export function changesOf(records: readonly KeysChanged[]): string {
  return records.map(({ change, keys }) => [change, ...keys.map(({ kid }) => kid)].join(" ")).join(", ");
}

/** A line of the ledger: a change, or an operator's word for a held key. */
export type KeyFact =
  | { readonly kind: "changed"; readonly at: number; readonly changed: KeysChanged }
  | { readonly kind: "accepted"; readonly key: string };

/** What a broker knows that read this past, and goes on to write into these records. */
export function historyOf(past: readonly KeyFact[], records: KeysChanged[]): KeyHistory {
  const known = new Map<string, KeyRecord>();
  const recordOf = (issuer: string): KeyRecord => {
    const record = known.get(issuer) ?? new KeyRecord();
    known.set(issuer, record);
    return record;
  };
  for (const fact of past)
    if (fact.kind === "accepted") recordOf(issuerIn(fact.key)).accept(fact.key);
    else recordOf(fact.changed.issuer).apply(fact.changed, fact.at);
  return { recordOf, record: (changed) => void records.push(changed) };
}

/** As the ledger would give them back after a restart. */
export function recalled(records: readonly KeysChanged[], at: number): readonly KeyFact[] {
  return records.map((changed) => ({ kind: "changed", at, changed }));
}

/** Real time passes until something is so; for what a server sees a moment later than its client. */
export async function until(condition: () => boolean, longest = 5_000): Promise<boolean> {
  const end = performance.now() + longest;
  while (!condition() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
  return condition();
}
