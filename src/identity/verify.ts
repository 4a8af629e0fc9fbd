import { compactVerify, errors, type VerifyOptions } from "jose";
import { BrokerError } from "../errors.ts";
import type { Secret } from "../secret.ts";
import type { Clock, Duration } from "../time.ts";
import { identityOf } from "./believe.ts";
import { isOf } from "./chosen.ts";
import type { Identity } from "./identity.ts";
import { discoverKeys, type Reading } from "./keys/discover.ts";
import type { KeyHistory } from "./keys/key-history.ts";
import { KeyMemory } from "./keys/key-memory.ts";
import { issuerIn, keyName } from "./keys/key-name.ts";
import { type FoundKey, Keys, type KeysState, rhythms } from "./keys/keys.ts";
import { type ParsedToken, parseToken } from "./parse.ts";
import type { Profile } from "./profile.ts";
import { type Matter, matterOf, rules } from "./rules.ts";

export interface Verifier {
  /**
   * Who presents this token. Throws a `BrokerError` whose message is the code's own sentence: somebody who cannot sign learns
   * nothing about what would have passed. `issuer-unavailable` and `key-held` say nothing against the token.
   */
  verify(token: Secret, signal: AbortSignal): Promise<Identity>;
  /** Which issuers could be asked just now, and with which keys their tokens are verified. */
  readiness(): readonly IssuerReadiness[];
  /** Reads an issuer's keys anew, or those of all, within 2 s. */
  readAnew(issuer: string | undefined): Promise<readonly IssuerReadiness[]>;
  /** The held key of this id, by the name that says exactly which; throws `usage` where there is none. */
  heldKey(issuer: string, kid: string): string;
  /** Takes that key from now on. */
  accept(key: string): void;
  /** A run that goes on this long must bring a fresh token, again and again; undefined where its issuer asks for none. */
  freshAfter(issuer: string): Duration | undefined;
  /** Whom the tokens of each issuer must be made for. */
  audiences(): readonly IssuerAudience[];
}

export interface IssuerReadiness {
  readonly issuer: string;
  readonly keys: KeysState;
  /** Ids of the keys that may verify. */
  readonly kids: readonly string[];
  /** Ids of new keys that are not accepted yet. */
  readonly held: readonly string[];
  readonly trouble: string | undefined;
}

export interface IssuerAudience {
  readonly issuer: string;
  readonly preset: string;
  readonly audience: string;
}

export interface VerifierParts extends Reading {
  readonly profiles: readonly Profile[];
  readonly clock: Clock;
  readonly history: KeyHistory;
}

/** One issuer's door: what is believed of it, and its keys. */
export interface Gate {
  readonly profile: Profile;
  readonly keys: Keys;
  readonly memory: KeyMemory;
  readonly options: VerifyOptions;
}

export function createVerifier({ profiles, clock, history, ...reading }: VerifierParts): Verifier {
  const gates = gatesOf({ profiles, clock, history, ...reading });
  return {
    verify: (token, signal) => verified(token, gates, { now: new Date(clock.now()), signal }),
    readiness: () => gates.map(readinessOf),
    async readAnew(issuer) {
      const asked = gates.filter(({ profile }) => issuer === undefined || profile.name === issuer);
      await Promise.all(asked.map(({ keys }) => keys.readAnew()));
      return asked.map(readinessOf);
    },
    heldKey(issuer, kid) {
      const held = gates.find(({ profile }) => profile.name === issuer)?.keys.held.find((key) => key.kid === kid);
      if (held !== undefined) return keyName(issuer, held);
      throw new BrokerError("usage", `${issuer} has no new key ${kid} that is held back`, {
        hint: "`mayfly keys refresh` lists those that are",
      });
    },
    accept: (key) => gates.find(({ profile }) => profile.name === issuerIn(key))?.memory.accept(key),
    freshAfter: (issuer) => profiles.find(({ name }) => name === issuer)?.fresh,
    audiences: () => profiles.map(({ name, preset, audience }) => ({ issuer: name, preset, audience })),
  };
}

export interface Moment {
  readonly now: Date;
  readonly signal: AbortSignal;
}

/** Every check, in its order: what it is about, then whether it is signed, and only then what else is wrong with it. */
export async function verified(token: Secret, gates: readonly Gate[], at: Moment): Promise<Identity> {
  const parsed = parseToken(token);
  const gate = gateFor(parsed, gates);
  checkHeader(parsed, gate.profile);
  await checkSigned(parsed, await keyFor(parsed, gate, at), gate);
  const matter = matterOf(parsed, gate.profile);
  checkRules(matter, at.now);
  return identityOf(matter);
}

function checkRules(matter: Matter, now: Date): void {
  for (const { check } of rules) check(matter, now);
}

/**
 * The key that a token names. Where its issuer's keys are at hand and this one is not among them, the issuer is asked again, but not on
 * behalf of a token that could not pass with any key. It is refused in the same words: who cannot sign does not learn which rule it broke.
 */
export function keyFor(parsed: ParsedToken, { keys, profile }: Gate, { now, signal }: Moment): FoundKey | Promise<FoundKey> {
  return keys.find(parsed.header, signal, () => couldPass(matterOf(parsed, profile), now));
}

function couldPass(matter: Matter, now: Date): boolean {
  try {
    checkRules(matter, now);
    return true;
  } catch {
    return false;
  }
}

export function gatesOf({ profiles, clock, history, ...reading }: VerifierParts): readonly Gate[] {
  return profiles.map((profile) => gateOf(profile, reading, { clock, history })).toSorted(issFirst);
}

/** That of the issuer whose token it says it is. */
export function gateFor(parsed: ParsedToken, gates: readonly Gate[]): Gate {
  const gate = gates.find(({ profile }) => isOf(profile, parsed.claims));
  if (gate === undefined) throw new BrokerError("token-issuer");
  return gate;
}

function gateOf(profile: Profile, reading: Reading, { clock, history }: Pick<VerifierParts, "clock" | "history">): Gate {
  const { keys: source, name: issuer } = profile;
  // What mayfly.yaml itself says was looked at by whoever wrote it.
  const memory = new KeyMemory({ issuer, hold: source.kind === "inline" ? 0 : profile.hold, history, clock });
  const load = (signal: AbortSignal) => discoverKeys(profile, reading, signal);
  return {
    profile,
    memory,
    keys: new Keys({ load, rhythm: rhythms[source.kind], memory, clock }),
    options: { algorithms: [...profile.algorithms] },
  };
}

/** A token that names an issuer is that issuer's, whatever its subject looks like. */
function issFirst(a: Gate, b: Gate): number {
  return Number(a.profile.chosenBy !== "iss") - Number(b.profile.chosenBy !== "iss");
}

function readinessOf({ profile, keys }: Gate): IssuerReadiness {
  const held = keys.held.map(({ kid }) => kid);
  const kids = keys.all.map(({ kid }) => kid).filter((kid) => !held.includes(kid));
  return { issuer: profile.name, keys: keys.state, kids, held, trouble: keys.trouble };
}

/** No member that could change what is verified, such as `jwk`, `jku`, `x5u`, `crit` or `zip` (RFC 8725 section 3.10). */
export function checkHeader(parsed: ParsedToken, profile: Profile): void {
  const { alg, typ, others } = parsed.header;
  const malformed = (detail: string): BrokerError => new BrokerError("token-malformed", undefined, { detail });
  if (parsed.compact.length > profile.maxSize) throw malformed("longer than its profile allows");
  if (!isType(typ, profile.type)) throw malformed("a typ that its profile does not expect");
  if (others.some((name) => !profile.header.includes(name))) throw malformed("a header member that its profile does not know");
  // Before its key is looked for: no request is made for it.
  if (!profile.algorithms.includes(alg)) throw refused("an algorithm that its profile does not allow");
}

/** RFC 7515 section 4.1.9: a media type, without regard to case, `application/` left out or not. */
function isType(typ: string | undefined, expected: Profile["type"]): boolean {
  if (typ === undefined) return expected === "JWT";
  return typ.toLowerCase().replace(/^application\//, "") === expected.toLowerCase();
}

/**
 * The signature alone, by jose. Claims are read by our own parser only, so that no two readers can differ about them. Rejects with
 * `key-held` where the signature is good, and its key not accepted yet: a stranger who only names such a key learns nothing.
 */
export async function checkSigned(
  { compact }: ParsedToken,
  { key, held }: FoundKey,
  { options }: Pick<Gate, "options">,
): Promise<void> {
  try {
    await compactVerify(compact, key, options);
  } catch (error) {
    throw refused(error instanceof errors.JOSEError ? error.code : "the signature cannot be checked");
  }
  if (held) throw new BrokerError("key-held", undefined, { hint: "try again later; an operator can accept the key at once" });
}

function refused(detail: string): BrokerError {
  return new BrokerError("token-signature", undefined, { detail });
}
