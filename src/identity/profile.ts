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
  /** Compared byte for byte with `iss`: `new URL()` maps a dozen odd spellings to the same host. */
  readonly issuer: string;
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
  /** The ids of what is asked for again and again. */
  readonly workload: readonly string[];
  /** The ids of one run of it. */
  readonly job: readonly string[];
  readonly jti: "required" | "absent";
  readonly trust: (claims: Claims) => Trust;
  readonly keys: KeySource;
}

export type KeySource =
  | { readonly kind: "file"; readonly text: string }
  | { readonly kind: "discovery"; readonly authority: string | undefined; readonly allowPrivate: boolean };
