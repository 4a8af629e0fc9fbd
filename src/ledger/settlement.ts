import type { Ledger, SpentToken } from "./ledger.ts";
import type { SpentTokens } from "./spent-tokens.ts";

/** How many tokens are told at a time, and how many ends of sessions are looked at. */
const page = 1_000;

/**
 * Makes the store say of this broker what its own ledger says, which is the truth about its sessions. Whatever came between a claim and its
 * ledger (a kill, a lost answer, a store put back to an older state) is settled so before the next token is claimed.
 */
export class Settlement {
  readonly #ledger: Ledger;
  readonly #store: SpentTokens;
  /** How often somebody did not know how a call ended. */
  #doubts = 0;
  /** Up to which doubt, and with which generation of the store, all is settled. */
  #settled: { readonly doubts: number; readonly generation: number } | undefined;
  #settling: Promise<void> | undefined;
  /** Where in the ledger the next end of a session may stand; undefined until the newest were looked at. */
  #next: number | undefined;
  /** Tokens whose claim, ledger call or confirmation is on its way: they are not in doubt. */
  readonly inFlight = new Set<SpentToken>();

  constructor(ledger: Ledger, store: SpentTokens) {
    this.#ledger = ledger;
    this.#store = store;
  }

  /** Somebody does not know how a call ended. */
  doubt(): void {
    this.#doubts += 1;
  }

  /** Resolves once nothing is in doubt; rejects as ledger and store do. */
  async reached(): Promise<void> {
    while (this.#settled?.doubts !== this.#doubts || this.#settled.generation !== this.#store.generation) {
      this.#settling ??= this.#settle().finally(() => {
        this.#settling = undefined;
      });
      await this.#settling;
    }
  }

  /** Frees, in the store, the tokens of all sessions that the ledger has called unspent since the last look. */
  async release(): Promise<void> {
    const ends = await this.#newEnds();
    const unspent = ends.flatMap(({ event }) =>
      event.kind === "session-ended" && event.why === "unspent" ? [event.session] : [],
    );
    if (unspent.length > 0) await this.#store.release(unspent);
    const last = ends.at(-1);
    this.#next = last === undefined ? (this.#next ?? 0) : last.index + 1;
    if (ends.length === page) await this.release();
  }

  /** After a start the newest are enough: no more can have ended between the ledger's word and the store's. */
  async #newEnds() {
    const kinds = ["session-ended"] as const;
    if (this.#next !== undefined) return this.#ledger.entries({ kinds, from: this.#next, limit: page });
    return (await this.#ledger.entries({ kinds, newestFirst: true, limit: page - 1 })).toReversed();
  }

  async #settle(): Promise<void> {
    const upTo = { doubts: this.#doubts, generation: this.#store.generation };
    const inFlight = [...this.inFlight].map(({ session }) => session);
    await this.#confirmAll();
    await this.#store.releaseUnconfirmed(inFlight);
    // Last: a session may have come to nothing since its token was read above.
    await this.release();
    this.#settled = upTo;
  }

  async #confirmAll(): Promise<void> {
    for (let after = ""; ; ) {
      const tokens = await this.#ledger.spentTokens({ after, limit: page });
      if (tokens.length > 0) await this.#store.confirm(tokens);
      if (tokens.length < page) return;
      after = tokens.at(-1)?.key ?? after;
    }
  }
}
