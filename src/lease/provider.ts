import type { z } from "zod";
import type { Material, MaterialKind } from "../material.ts";
import type { Filled } from "../policy/slots.ts";
import type { Secret } from "../secret.ts";
import type { Clock, Duration, Instant } from "../time.ts";

export { type Filled, slot, slotSpelling } from "../policy/slots.ts";

/** Plain data that a restarted broker needs to end a lease. It is recorded, so it never is a secret itself. */
export type Handle = Readonly<Record<string, string>>;

/**
 * How a lease ends, said honestly. `revoke`: the provider can end it at any time. `expires`: nobody can end it before
 * then. `static`: a stored value that outlives the job (a KV secret); its lease ends as `exposed`.
 */
export type Ending =
  | {
      readonly kind: "revoke";
      readonly handle: Handle;
      readonly expiresAt: Instant;
      /** The upstream ends it by itself where nobody renews it within this span: what a dead broker left dies so. */
      readonly renewWithin?: Duration;
    }
  | { readonly kind: "expires"; readonly at: Instant }
  | { readonly kind: "static" };

/** What is about to be asked of a provider; durable before the provider hears of it. */
export interface Intent {
  /** Names every upstream effect (a session name, metadata, a certificate's serial), so that `recover` can find it. */
  readonly lease: string;
  readonly credential: string;
  /** The provider's name in mayfly.yaml. */
  readonly provider: string;
  readonly template: string;
  readonly workload: string;
  readonly session: string;
  readonly ttl: Duration;
  /** No credential of this intent can be alive after this, whatever happened to the answer. */
  readonly latestExpiry: Instant;
}

/**
 * Who a provider is to its upstream. `broker`: it shows a short-lived token that the broker signs, carrying workload, template and lease.
 * `host`: it is the host's own identity, or holds a key that was given to this host. `job`: it shows the job's own identity token, and then
 * whoever holds that token can go upstream without us.
 */
export type ProofKind = "broker" | "host" | "job";

/** A token to show upstream, as `broker` or as `job`; `as: host` needs none. */
export interface Proof {
  /** `claims` are what this upstream reads beside our own; a token that the broker does not sign carries none of them. */
  token(audience: string, claims?: Readonly<Record<string, unknown>>): Promise<Secret>;
}

export interface MintRequest<Options> {
  readonly intent: Intent;
  /** Parsed by the provider's own schema, every slot filled. */
  readonly options: Filled<Options>;
  readonly proof: Proof;
  readonly signal: AbortSignal;
}

export interface Minted {
  readonly material: Material;
  readonly ending: Ending;
}

/** What `recover` found of an intent whose answer was lost. */
export type Recovered = { readonly kind: "never-happened" } | { readonly kind: "found"; readonly ending: Ending };

/** What ending a lease, or looking for one, may use: no job is there any more, so the broker speaks for itself. */
export interface EndRequest {
  readonly proof: Proof;
  readonly signal: AbortSignal;
}

/**
 * The joint. Every sentence here is checked by `test/conformance/provider.ts`.
 *
 * `mint` resolves only with a credential that is no broader and lives no longer than was asked. It throws a `BrokerError`
 * `provider-refused` or `provider-unavailable` only when it is certain that nothing came into being upstream; any other error means
 * "unknown", and the intent counts as live until `recover` has spoken or `latestExpiry` has passed. It may be called
 * concurrently, and never logs. `revoke` resolves only when the credential no longer works; revoking twice is
 * success, and so is revoking what never existed. `recover` finds by `intent.lease` alone what a lost answer left.
 * Every method gives up when its signal is aborted.
 */
export interface Provider<Options> {
  /**
   * The template's part for this provider; slots are declared with `slot`. It takes what it gave once more, slots filled and
   * also after a trip through JSON: that is how options come back from a grant and, after a restart, from the ledger.
   */
  readonly options: z.ZodType<Options>;
  gives(options: Filled<Options>): MaterialKind;
  /** How a lease of these options ends; `mint` answers with an ending of this kind and no other. */
  ends(options: Filled<Options>): Ending["kind"];
  mint(request: MintRequest<Options>): Promise<Minted>;
  /** `none`: the provider cannot end a credential early, and says so here instead of pretending. */
  readonly revocation: Revocation<Options> | "none";
  /** Where the provider can replace what it holds itself, or what its upstream stores for jobs. */
  readonly rotation?: Rotation;
}

/** Stored secrets that the provider can replace upstream; `mayfly rotate` and `rotate_every` ask for it. */
export interface Rotation {
  /** What there is to rotate, by the names that an operator uses. */
  readonly names: readonly string[];
  /** Resolves once the upstream gives the new one and the old one is of no use. */
  rotate(name: string, request: EndRequest): Promise<void>;
}

export interface Revocation<Options> {
  revoke(handle: Handle, request: EndRequest): Promise<void>;
  recover(intent: Intent, options: Filled<Options>, request: EndRequest): Promise<Recovered>;
  /** For endings with `renewWithin`: the credential lives so long again from now, and never beyond the `expiresAt` it was given with. */
  renew?(handle: Handle, request: EndRequest): Promise<void>;
}

/** What a provider is built from: everything ambient is handed in. */
export interface ProviderContext {
  readonly clock: Clock;
  /** The broker's own certificate authority and signer, for providers that are the broker itself. */
  readonly authority: Authority;
  readonly as: ProofKind;
  /** Only where a broker runs: while templates are merely read, a provider starts nothing. */
  readonly lodging?: Lodging;
}

/** For a provider that is a process of its own: where it lives, who hears what it prints, and how long it may stay. */
export interface Lodging {
  /** What mayfly.yaml calls the provider. */
  readonly name: string;
  /** For its socket; it need not exist, and nobody else puts anything there. */
  readonly folder: string;
  readonly log: LodgingLog;
  /** Aborted when the broker ends. */
  readonly ends: AbortSignal;
}

/** The operator's log. `hiding`: these values are hidden in every line until what is returned is disposed. */
export interface LodgingLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  hiding(secrets: readonly Secret[]): Disposable;
}

/** The broker's own keys, lent for signing only. */
export interface Authority {
  /** Signs a JWT with the broker's issuer key; adds `iss`, `iat`, `jti`. Audience and subject are the caller's. */
  signJwt(
    claims: { readonly sub: string; readonly aud: string; readonly [claim: string]: unknown },
    expiresAt: Instant,
  ): Promise<Secret>;
  /** Issues an X.509 client certificate for a fresh key pair. `uri` becomes its only subject alternative name. */
  issueCertificate(request: {
    readonly serial: string;
    readonly commonName: string;
    readonly uri: string;
    readonly notAfter: Instant;
  }): Promise<{
    readonly certificate: string;
    readonly privateKey: Secret;
    readonly authority: string;
  }>;
  /** Issues an OpenSSH user certificate for a fresh Ed25519 key. Rejects where no principal is named: that would be good for every user. */
  issueSshCertificate(request: SshCertificateRequest): Promise<{ readonly certificate: string; readonly privateKey: Secret }>;
  /** A secret as text that only this broker can open again, also after a restart: for a handle that is itself a secret. */
  seal(secret: Secret): string;
  /** Throws `internal` for what was not sealed by this broker. */
  unseal(sealed: string): Secret;
}

/** What stands in an SSH certificate (OpenSSH, PROTOCOL.certkeys). */
export interface SshCertificateRequest {
  readonly serial: bigint;
  /** sshd logs it at each login. */
  readonly keyId: string;
  readonly principals: readonly string[];
  /** A server that does not know one of them refuses the certificate. */
  readonly criticalOptions: Readonly<Record<string, string>>;
  readonly extensions: readonly string[];
  readonly notAfter: Instant;
}

/** One line of `providers/catalogue.ts`. */
export interface ProviderType<Config, Options> {
  /** What mayfly.yaml calls it: `type: vault`. */
  readonly type: string;
  /** As whom it can prove itself upstream; the first is the usual one. */
  readonly proves: readonly [ProofKind, ...ProofKind[]];
  readonly config: z.ZodType<Config>;
  create(config: Config, context: ProviderContext): Provider<Options>;
}
