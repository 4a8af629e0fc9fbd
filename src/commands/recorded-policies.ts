import { fromConnectError } from "../api/failure.ts";
import { BrokerError } from "../errors.ts";
import { compileRecorded } from "../policy/language/compile.ts";
import { sourcesOf } from "../policy/language/sources.ts";
import type { Policy } from "../policy/policy.ts";
import { type Problem, problemText } from "../policy/problem.ts";
import type { Rooms } from "../policy/rooms.ts";
import type { AuditClient } from "./recorded.ts";

/** Each is as large as all templates together, and requests come in the order of time. */
const mostKept = 4;

/** The policies that decided, compiled again from the texts that the ledger keeps, with the rooms of today. */
export class RecordedPolicies<D, I> {
  readonly #call: AuditClient;
  readonly #rooms: Rooms<D, I>;
  readonly #kept = new Map<string, Policy<D, I>>();
  /** Why a text does not compile any more, by its digest. */
  readonly failed = new Map<string, string>();

  constructor(call: AuditClient, rooms: Rooms<D, I>) {
    this.#call = call;
    this.#rooms = rooms;
  }

  /** Undefined where the ledger has no such text, or where it does not compile any more; `failed` then says why. */
  async of(digest: string | undefined): Promise<Policy<D, I> | undefined> {
    if (digest === undefined || this.failed.has(digest)) return undefined;
    const kept = this.#kept.get(digest);
    if (kept !== undefined) return kept;
    const policy = await this.#compiled(digest);
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined && this.#kept.size >= mostKept) this.#kept.delete(oldest);
    if (policy !== undefined) this.#kept.set(digest, policy);
    return policy;
  }

  async #compiled(digest: string): Promise<Policy<D, I> | undefined> {
    const text = await policyText(this.#call, digest);
    if (text === undefined) return this.#fail(digest, "the ledger has no policy of this digest");
    try {
      const compiled = compileRecorded(sourcesOf(text), this.#rooms);
      if (compiled.kind === "policy") return compiled.policy;
      return this.#fail(digest, firstOf(compiled.problems));
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      return this.#fail(digest, error.message);
    }
  }

  #fail(digest: string, why: string): undefined {
    this.failed.set(digest, why);
    return undefined;
  }
}

/** The first of a file, since what comes after it may come of it. */
export function firstOf(problems: readonly Problem[]): string {
  const [first] = problems.toSorted((a, b) => a.line - b.line);
  return first === undefined ? "" : problemText(first);
}

async function policyText(call: AuditClient, digest: string): Promise<string | undefined> {
  try {
    return (await call.getPolicy({ digest })).text;
  } catch (error) {
    if (fromConnectError(error).code === "entry-unknown") return undefined;
    throw error;
  }
}
