import type { BrokerStatus } from "./contract.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { asBrokerError, BrokerError } from "./errors.ts";
import type { PolicyChange } from "./ledger/entry.ts";
import type { Ledger } from "./ledger/ledger.ts";
import type { Log } from "./log.ts";
import type { LastWord } from "./policy/opa/last-word.ts";
import type { Policy } from "./policy/policy.ts";
import { type Problem, policyInvalid, problemText } from "./policy/problem.ts";
import { type Deciding, lookAt, type PolicyFiles, readPolicyFiles } from "./policy-files.ts";
import type { Isolation } from "./sandbox/sandbox.ts";

export interface PolicyParts {
  readonly files: PolicyFiles;
  readonly ledger: Ledger;
  readonly log: Log;
}

/**
 * What decides now: the templates, and the last word on them. They change as a whole or not at all, and only once their record is
 * durable. What does not load changes nothing, and is recorded, logged and in the status until something loads again.
 */
export class PolicyInForce implements Disposable {
  readonly #parts: PolicyParts;
  #deciding: Deciding | undefined;
  /** What the files looked like when they were last read to an end, good or bad; a watch need not have them read again. */
  #looked = "";
  #refused: Refused | undefined;
  #unheard = false;
  /** Settles when the reload that runs is over, and never rejects. */
  #running: Promise<void> = Promise.resolve();
  #waiting: Promise<Policy<Delivery, Isolation>> | undefined;

  private constructor(parts: PolicyParts) {
    this.#parts = parts;
  }

  /** Rejects with `policy-invalid`: a broker never starts without templates, nor without the last word that mayfly.yaml names. */
  static async load(parts: PolicyParts): Promise<PolicyInForce> {
    const loaded = new PolicyInForce(parts);
    await loaded.reload("start");
    return loaded;
  }

  get current(): Policy<Delivery, Isolation> {
    if (this.#deciding === undefined) throw new BrokerError("policy-invalid");
    return this.#deciding.policy;
  }

  get looked(): string {
    return this.#looked;
  }

  /**
   * Of the last word in force when it is asked, which may be newer than the templates that granted: it only takes away. Undefined where
   * mayfly.yaml has none.
   */
  get lastWord(): LastWord<Delivery, Isolation> | undefined {
    return this.#parts.files.lastWord && { ask: (grant, signal) => this.#hear(grant, signal) };
  }

  /**
   * Rejects with `policy-invalid` and keeps what is in force; runs that were decided keep what decided them. One at a time: whoever asks
   * during a reload gets the one that begins after it, since the one that runs may have read too early.
   */
  reload(by: PolicyChange): Promise<Policy<Delivery, Isolation>> {
    this.#waiting ??= this.#afterThis(by);
    return this.#waiting;
  }

  trouble(): BrokerStatus["trouble"] {
    return [
      ...(this.#refused === undefined ? [] : [{ code: "policy-invalid" as const, about: this.#refused.about }]),
      ...(this.#unheard ? [{ code: "last-word-unavailable" as const, about: "the last run that asked had no answer" }] : []),
    ];
  }

  async #afterThis(by: PolicyChange): Promise<Policy<Delivery, Isolation>> {
    await this.#running;
    this.#waiting = undefined;
    const read = this.#read(by);
    this.#running = read.then(
      () => undefined,
      () => undefined,
    );
    return read;
  }

  async #read(by: PolicyChange): Promise<Policy<Delivery, Isolation>> {
    if (this.#looked !== "" && (await lookAt(this.#parts.files)) === this.#looked) return this.#again();
    this.#looked = "";
    const read = await readPolicyFiles(this.#parts.files);
    if (read.kind === "problems") {
      await this.#refuse(by, read.problems);
      this.#looked = read.looked;
      throw policyInvalid(read.problems);
    }
    await this.#enforce(by, read.deciding);
    this.#looked = read.looked;
    return read.deciding.policy;
  }

  /** What nobody has touched says what it said before, and to compile it again would hold up everybody. */
  #again(): Policy<Delivery, Isolation> {
    if (this.#refused !== undefined) throw policyInvalid(this.#refused.problems);
    return this.current;
  }

  async #enforce(by: PolicyChange, deciding: Deciding): Promise<void> {
    const { log } = this.#parts;
    const old = this.#deciding;
    const same = old?.policy.digest === deciding.policy.digest && old.lastWord?.digest === deciding.lastWord?.digest;
    if (!same) await this.#record(by, deciding);
    // The first decision by it comes after its entry is durable.
    this.#deciding = deciding;
    old?.lastWord?.[Symbol.dispose]();
    if (this.#refused !== undefined) log.info({ by }, "the templates load again");
    this.#refused = undefined;
    if (!same) tell(log, by, deciding);
  }

  async #refuse(by: PolicyChange, problems: readonly Problem[]): Promise<void> {
    const { ledger, log } = this.#parts;
    const [problem] = problems;
    const first = problem === undefined ? "" : problemText(problem).slice(0, longestProblem);
    const key = JSON.stringify(problems);
    const about = `${first} (1 of ${problems.length}); what was in force stays`;
    const known = this.#refused?.key === key;
    this.#refused = { key: known ? key : "", about, problems };
    log.error({ by, problems: problems.length, first }, "the templates do not load, so what was in force stays");
    if (known) return;
    await ledger.append([{ kind: "policy-refused", by, problems: problems.length, first }]);
    this.#refused = { key, about, problems };
  }

  async #record(by: PolicyChange, deciding: Deciding): Promise<void> {
    await record(this.#parts.ledger, by, deciding).catch((error: unknown) => {
      deciding.lastWord?.[Symbol.dispose]();
      throw error;
    });
  }

  async #hear(...[grant, signal]: Parameters<LastWord<Delivery, Isolation>["ask"]>) {
    const word = this.#deciding?.lastWord?.word;
    if (word === undefined) throw new BrokerError("last-word-unavailable");
    try {
      const heard = await word.ask(grant, signal);
      this.#unheard = false;
      return heard;
    } catch (error) {
      this.#unheard ||= asBrokerError(error).code === "last-word-unavailable";
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#deciding?.lastWord?.[Symbol.dispose]();
  }
}

interface Refused {
  /** Stands for the problems that are on record; empty where they are not yet. */
  readonly key: string;
  readonly about: string;
  readonly problems: readonly Problem[];
}

const mostFindings = 50;
const longestProblem = 1_000;
/** Characters: an entry has 64 KiB, and the policy's stored text has the rest. */
const longestNames = 32_768;

/** What was found in templates that load all the same is told once for each policy: advice, and the risks that their authors took. */
function tell(log: Log, by: PolicyChange, { policy, lastWord, findings }: Deciding): void {
  const { digest, templates } = policy;
  log.info({ by, policy: digest, templates: templates.size, lastWord: lastWord?.digest }, "templates are in force");
  for (const finding of findings.slice(0, mostFindings)) {
    const { rule, level } = finding;
    log.warn({ rule, level, finding: problemText(finding) }, "found in the templates that are in force");
  }
  if (findings.length > mostFindings) log.warn({ findings: findings.length }, "`mayfly check` lists what else was found");
}

async function record(ledger: Ledger, by: PolicyChange, { policy, lastWord }: Deciding): Promise<void> {
  const { digest, text, templates } = policy;
  await ledger.storePolicy({ digest, text });
  const names = namesThatFit([...templates.keys()]);
  await ledger.append([{ kind: "policy", policy: digest, templates: names, by, lastWord: lastWord?.digest ?? null }]);
}

function namesThatFit(names: readonly string[]): readonly string[] {
  let length = 0;
  const end = names.findIndex((name) => {
    length += JSON.stringify(name).length + 1;
    return length > longestNames;
  });
  return end < 0 ? names : names.slice(0, end);
}
