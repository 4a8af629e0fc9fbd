import type { Duration } from "../time.ts";
import type { Claim, Trust } from "./identity.ts";

/** What may sign: asymmetric only. `none` and every HMAC are not even words here (RFC 8725 section 3.1). */
export const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"] as const;

export type Algorithm = (typeof algorithms)[number];

export type Claims = Readonly<Record<string, Claim>>;

/** Everything that is believed about one issuer. No token is verified without one. */
export interface Profile {
  /** Its name in mayfly.yaml. */
  readonly name: string;
  /** The kind of CI system: the name of its preset. */
  readonly preset: string;
  /**
   * Which tokens are this issuer's: compared byte for byte with `iss`, since `new URL()` maps a dozen odd spellings to the same host. For
   * SPIFFE, whose tokens need no `iss`, it is `spiffe://` and the trust domain, compared with that of `sub`.
   */
  readonly issuer: string;
  readonly chosenBy: "iss" | "trust-domain";
  readonly audience: string;
  readonly algorithms: readonly Algorithm[];
  /** `JWT` may also be left out of the header, as Buildkite does; `at+jwt` (RFC 9068) may not. */
  readonly type: "JWT" | "at+jwt";
  /** Header members beside `alg`, `kid` and `typ` that this issuer sends. */
  readonly header: readonly string[];
  /** Bytes of a whole token. */
  readonly maxSize: number;
  /** The longest `exp - iat`. */
  readonly maxLifetime: Duration;
  /** The longest `now - iat`. */
  readonly maxAge: Duration;
  readonly skew: Duration;
  /** There, and a filled string or a number. */
  readonly required: readonly string[];
  /** Where there, a filled string: what this issuer never sends as anything else. */
  readonly text: readonly string[];
  /** Claims inside objects that are believed, each under a name of its own. */
  readonly nested: readonly NestedClaim[];
  /** The ids of what is asked for again and again. */
  readonly workload: readonly string[];
  /** The ids of one run of it. */
  readonly job: readonly string[];
  /** Further ids of one run, which older versions of the CI system do not send. */
  readonly jobWhereSent: readonly string[];
  readonly jti: "required" | "absent";
  readonly trust: (claims: Claims) => Trust;
  /** Why a token that is good in every other way is refused all the same; for the operator. */
  readonly refuses: (claims: Claims) => string | undefined;
  /** A run that goes on this long must bring a fresh token of the same job, again and again; undefined: never. */
  readonly fresh: Duration | undefined;
  readonly keys: KeySource;
  /** What a key's `use` may be besides left out (RFC 7517 section 4.2; SPIFFE writes `jwt-svid`). */
  readonly keyUse: "sig" | "jwt-svid";
  /** How long a key that was never seen before is held back once the issuer's first set is known; 0: not at all. */
  readonly hold: Duration;
}

/** `path` is where it stands in the token; `as` is its name among the claims, such as `kubernetes.io/serviceaccount/uid`. */
export interface NestedClaim {
  readonly path: readonly string[];
  readonly as: string;
}

/** Where an issuer's keys are read, again and again; only `inline` ones never change. */
export type KeySource =
  | { readonly kind: "inline"; readonly text: string }
  | { readonly kind: "file"; readonly path: string }
  | ({ readonly kind: "url"; readonly url: string } & Reach)
  | ({ readonly kind: "discovery" } & Reach);

/** How an issuer is reached. */
export interface Reach {
  /** PEM; replaces the public authorities. */
  readonly authority: string | undefined;
  readonly allowPrivate: boolean;
  /** A file whose content is shown as a bearer token, read anew for each attempt; a cluster's API server asks for one. */
  readonly bearer: string | undefined;
}
