import type { Instant } from "../time.ts";

/** How far the CI system vouches for the code that runs; `unknown` never satisfies a template's `trust` line. */
export type Trust = "protected" | "branch" | "pull_request" | "fork" | "unknown";

/** A claim as the issuer wrote it. Only strings, numbers, booleans and lists of strings can be matched on. */
export type Claim = string | number | boolean | readonly string[];

/** The claims we believe: what a verified token says, in the terms of its issuer's profile. */
export interface Identity {
  /** The issuer's name in mayfly.yaml, never the URL from the token. */
  readonly issuer: string;
  readonly subject: string;
  /** What is asked for again and again (a repository, a project): `issuer` and ids, joined unambiguously. */
  readonly workload: string;
  /** This one run of it: the CI job behind the token. */
  readonly job: string;
  readonly trust: Trust;
  /** Own properties of a prototype-less object: a claim named `toString` is absent unless the token has it. */
  readonly claims: Readonly<Record<string, Claim>>;
  /** Which token this was, without being able to present it: (issuer, jti), else a digest of the signing input. */
  readonly token: { readonly key: string; readonly expiresAt: Instant };
}
