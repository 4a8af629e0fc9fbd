import { decodeJwt } from "jose";
import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { Clock, Instant } from "../time.ts";
import type { Proof } from "./provider.ts";

export interface JobToken {
  readonly session: string;
  /** Everything by which containment may reach the session. */
  readonly scopes: readonly string[];
  /** A verified identity token; a copy is kept. */
  readonly token: Secret;
  /** Its own end, or its session's where that comes first. */
  readonly until: Instant;
}

export interface JobTokensParts {
  readonly clock: Clock;
  /** Whether any provider shows them: where none does, nothing is kept. */
  readonly needed: boolean;
}

interface Kept {
  readonly scopes: readonly string[];
  readonly token: Secret;
  readonly over: AbortController;
}

/**
 * The identity tokens of living sessions, for providers that are configured `as: job`. In memory alone and no longer than a token is good
 * for: a broker that was started again has none, and a job that is over leaves none.
 */
export class JobTokens implements Disposable {
  readonly #parts: JobTokensParts;
  readonly #kept = new Map<string, Kept>();

  constructor(parts: JobTokensParts) {
    this.#parts = parts;
  }

  /** In place of the one that its session had. */
  keep({ session, scopes, token, until }: JobToken): void {
    if (!this.#parts.needed) return;
    this.#drop(session);
    const kept = { scopes, token: token.use((bytes) => Secret.of(bytes)), over: new AbortController() };
    this.#kept.set(session, kept);
    const { clock } = this.#parts;
    clock.sleep(until - clock.now(), kept.over.signal).then(
      () => this.#drop(session),
      () => undefined,
    );
  }

  /** Throws `provider-refused` where there is none (any more): certainly nobody was asked then. */
  proof(session: string): Proof {
    const kept = this.#kept.get(session);
    if (kept === undefined) throw withoutToken();
    return { token: async (audience) => lent(kept.token, audience) };
  }

  /** Forgets those of a session that has ended, or of all that containment reaches. */
  end(scope: string): void {
    for (const [session, { scopes }] of this.#kept) if (scopes.includes(scope)) this.#drop(session);
  }

  #drop(session: string): void {
    const kept = this.#kept.get(session);
    kept?.over.abort();
    kept?.token.wipe();
    this.#kept.delete(session);
  }

  [Symbol.dispose](): void {
    for (const session of this.#kept.keys()) this.#drop(session);
  }
}

/** A copy, which its borrower may wipe. Nobody is shown a token that was made for somebody else: it would only learn the token. */
function lent(token: Secret, audience: string): Secret {
  if (token.length === 0) throw withoutToken();
  const { aud = [] } = token.use((bytes) => decodeJwt(bytes.toString("utf8")));
  if (![aud].flat().includes(audience))
    throw new BrokerError("provider-refused", "the job's own token is made for somebody else than this provider", {
      hint: "`as: job` shows the token that the broker was given: the upstream must expect the audience of the issuer in mayfly.yaml",
    });
  return token.use((bytes) => Secret.of(bytes));
}

function withoutToken(): BrokerError {
  return new BrokerError("provider-refused", "the job's own token has expired, or the broker was started again since it came", {
    hint: "a provider that is configured `as: job` needs a run that brings its token: start one with a fresh token",
  });
}
