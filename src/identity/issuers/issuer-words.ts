import type { Trust } from "../identity.ts";
import type { Preset } from "../presets/preset.ts";
import { presets } from "../presets/presets.ts";
import { type Identifying, identifyingClaims, idsOf, type WrittenIds } from "./ids.ts";
import type { TrustRules } from "./trust-rules.ts";

/** What a template may say of the tokens of one issuer, and what comes of it. */
export interface IssuerWords extends Identifying {
  readonly preset: string;
  /** The claims that together say which workload it is; a template that names them all is nobody else's. */
  readonly workload: readonly string[];
  /** Claims that are names: others come to have them when they are given up. */
  readonly names: readonly string[];
  /** Every claim that can be matched on, `PREFIX*` for all that begin so; undefined where nobody can list them. */
  readonly known: readonly string[] | undefined;
  /** Of these, one token may hold several values. */
  readonly lists: readonly string[];
  /** What each of its tokens has, as one text or number. */
  readonly sent: readonly string[];
  /** What `trust` can come out as. */
  readonly trusts: readonly Trust[];
}

interface WrittenIssuer extends WrittenIds {
  readonly trust?: TrustRules | undefined;
}

/** By issuer. */
export function issuerWords(issuers: Readonly<Record<string, WrittenIssuer>>): ReadonlyMap<string, IssuerWords> {
  const identifying = identifyingClaims(issuers);
  return new Map(
    Object.entries(issuers).map(([name, issuer]) => [
      name,
      { ...(identifying.get(name) ?? { claims: [], subjectsBelow: undefined }), ...wordsOf(issuer) },
    ]),
  );
}

function wordsOf(issuer: WrittenIssuer): Omit<IssuerWords, keyof Identifying> {
  const preset: Preset = presets[issuer.preset];
  return {
    preset: issuer.preset,
    workload: issuer.preset === "generic" ? (issuer.workload ?? []) : preset.workload,
    names: preset.names,
    known: preset.known === undefined ? undefined : knownTo(issuer, preset.known),
    lists: preset.lists,
    sent: idsOf(issuer).required,
    trusts: [...(issuer.trust === undefined ? preset.trusts : mapped(issuer.trust)), "unknown"],
  };
}

/** RFC 7519 section 4.1. */
const registered = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/** Whoever asks in mayfly.yaml that a claim be there knows that it is. */
function knownTo({ required, workload = [], job = [] }: WrittenIssuer, known: readonly string[]): readonly string[] {
  return [...new Set([...registered, ...known, ...required, ...workload, ...job])];
}

function mapped(rules: TrustRules): readonly Trust[] {
  const trusts = ["protected", "branch", "pull_request", "fork"] as const;
  return trusts.filter((trust) => rules[trust] !== undefined);
}
