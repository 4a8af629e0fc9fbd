import type { Code } from "../../errors.ts";
import type { Instant } from "../../time.ts";
import type { Policy } from "../policy.ts";
import { type Change, type ChangeKind, changeKinds } from "./change.ts";
import { type Compared, compareRequest, type Otherwise, type ReplayParts } from "./compare.ts";
import { type Attention, attentionOf, type RecordedRequest } from "./request.ts";

/** The same change of the same template and step for one workload, however many requests it is of. */
export interface Difference {
  readonly kind: ChangeKind;
  readonly workload: string;
  /** The one that gave it, or that would give it where none did. */
  readonly template: string;
  /** Undefined where none was named. */
  readonly step: string | undefined;
  readonly what: string;
  readonly count: number;
  /** The newest of them. */
  readonly example: Change & { readonly id: string; readonly time: Instant };
}

export interface ReplayReport {
  readonly requests: number;
  readonly unchanged: number;
  /** Requests of which something cannot be told: whoever merges by this report must not take them for unchanged. */
  readonly cannotTell: number;
  readonly differences: readonly Difference[];
  /** Requests whose own policy does not compile any more, so that only what was recorded of them was compared. */
  readonly onlyRecorded: number;
  /** Neither their policy nor what it said of them is known. */
  readonly unknown: number;
  /** Requests that their own policy would decide otherwise today; the newest of them are listed. */
  readonly otherwise: { readonly count: number; readonly examples: readonly (Otherwise & { readonly id: string })[] };
  /** Refused by something else than templates, such as a spent token or the last word: only what the templates say was compared. */
  readonly refused: Readonly<Record<string, number>>;
}

const mostRemembered = 5_000;
const mostExamples = 20;

/** Decides recorded requests once more, by the policy that decided them and by the one that is to come; keeps counts, and not the requests. */
export class Replay<D, I> {
  readonly #parts: ReplayParts<D, I>;
  readonly #attention: Attention;
  readonly #attentions = new WeakMap<Policy<D, I>, Attention>();
  readonly #remembered = new Map<string, Compared>();
  readonly #differences = new Map<string, Difference>();
  readonly #counts = { requests: 0, unchanged: 0, cannotTell: 0, onlyRecorded: 0, unknown: 0, otherwise: 0 };
  readonly #refused = new Map<Code, number>();
  readonly #examples: (Otherwise & { readonly id: string })[] = [];

  constructor(parts: ReplayParts<D, I>) {
    this.#parts = parts;
    this.#attention = attentionOf(parts.next);
  }

  /** `own` is the policy that decided it; undefined where its text does not compile any more. */
  add(request: RecordedRequest, own: Policy<D, I> | undefined): void {
    const compared = this.#compared(request, own);
    this.#counts.requests++;
    if (compared.basis === "unknown") this.#counts.unknown++;
    if (compared.changes.length === 0) this.#counts.unchanged++;
    if (compared.changes.some(({ kind }) => kind === "cannot-tell")) this.#counts.cannotTell++;
    if (compared.basis === "recorded") this.#counts.onlyRecorded++;
    const { outcome, id } = request;
    if (outcome.kind === "refused") this.#refused.set(outcome.code, (this.#refused.get(outcome.code) ?? 0) + 1);
    const distinct = new Map(compared.changes.map((one) => [`${one.kind} ${one.what}`, one]));
    for (const one of distinct.values()) this.#differ(one, compared.template, request);
    if (compared.otherwise === undefined) return;
    this.#counts.otherwise++;
    if (this.#examples.length < mostExamples) this.#examples.push({ id, ...compared.otherwise });
  }

  report(): ReplayReport {
    const { requests, unchanged, cannotTell, onlyRecorded, unknown, otherwise } = this.#counts;
    const order = (one: Difference): number => changeKinds.indexOf(one.kind);
    return {
      requests,
      unchanged,
      cannotTell,
      differences: [...this.#differences.values()].sort((a, b) => order(a) - order(b) || b.count - a.count),
      onlyRecorded,
      unknown,
      otherwise: { count: otherwise, examples: this.#examples },
      refused: Object.fromEntries(this.#refused),
    };
  }

  #differ(one: Change, template: string, { id, time, step, identity: { workload } }: RecordedRequest): void {
    const key = JSON.stringify([one.kind, workload, template, step, one.what]);
    const known = this.#differences.get(key);
    const first = { kind: one.kind, workload, template, step, what: one.what, count: 0, example: { ...one, id, time } };
    this.#differences.set(key, { ...(known ?? first), count: (known?.count ?? 0) + 1 });
  }

  #compared(request: RecordedRequest, own: Policy<D, I> | undefined): Compared {
    const key = this.#keyOf(request, own);
    const known = this.#remembered.get(key);
    if (known !== undefined) return known;
    const compared = compareRequest(request, own, this.#parts);
    if (this.#remembered.size >= mostRemembered) this.#remembered.clear();
    this.#remembered.set(key, compared);
    return compared;
  }

  /** Everything that either decision depends on. Hours and dates begin with a minute. */
  #keyOf({ identity, asked, step, outcome, time }: RecordedRequest, own: Policy<D, I> | undefined): string {
    const attentions = own === undefined ? [this.#attention] : [this.#attention, this.#attentionTo(own)];
    const timed = attentions.some((attention) => attention.timed);
    const claims = Object.entries(identity.claims)
      .filter(([claim]) => attentions.some((attention) => attention.claims.has(claim)))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const moment = timed ? Math.floor(time / 60_000) : null;
    return JSON.stringify([own?.digest, asked, step, outcome, identity.issuer, identity.trust, claims, moment]);
  }

  #attentionTo(own: Policy<D, I>): Attention {
    const attention = this.#attentions.get(own) ?? attentionOf(own);
    this.#attentions.set(own, attention);
    return attention;
  }
}
