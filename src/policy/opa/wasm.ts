import { z } from "zod";
import type { Clock, Duration } from "../../time.ts";
import type { Bundle } from "./bundle.ts";
import type { Evaluated, FromEvaluator } from "./evaluator.ts";
import type { Question } from "./question.ts";
import type { Rego, Said } from "./rego.ts";
import { EvaluatingThread } from "./thread.ts";
import { Turns } from "./turns.ts";

/** What the library does itself; the rest of what WebAssembly policies may call is compiled into them. */
export const hostFunctions: readonly string[] = [
  "json.is_valid",
  "regex.split",
  "sprintf",
  "yaml.is_valid",
  "yaml.marshal",
  "yaml.unmarshal",
];

/** Pages of 64 KiB: 2 MiB at first, 64 MiB at most. OPA frees nothing during an evaluation, so this bounds its work too. */
const memory = { initial: 32, maximum: 1_024 };

/** Characters; as much as a server may answer. */
const longestAnswer = 64 * 1024;

/** A policy of ordinary size takes a tenth of a millisecond. */
const longestEvaluation: Duration = 250;

/** To instantiate the policy and take in its data. */
const longestLoading: Duration = 5_000;

export interface EvaluationParts {
  readonly clock: Clock;
  /** 250 ms where it is left out. */
  readonly longest?: Duration;
}

/**
 * A compiled policy, evaluated in a thread of its own until it is disposed of. Rejects, in our words, where it does not load, lacks the
 * rule, or calls what a bundle cannot.
 */
export async function regoInBundle(bundle: Bundle, decision: string, parts: EvaluationParts): Promise<Rego & Disposable> {
  const { digest, wasm, data } = bundle;
  // The name of an export that every such module has.
  if (!wasm.includes("opa_wasm_abi_minor_version")) throw new Error("was not compiled by OPA");
  const rego = new RegoInThread(
    digest.slice(0, 12),
    { wasm: bytesOf(wasm), memory, data: bytesOf(data), decision, longestAnswer },
    parts,
  );
  const loaded = await rego.loaded();
  try {
    checkFit(loaded, decision);
  } catch (error) {
    rego[Symbol.dispose]();
    throw error;
  }
  return rego;
}

type Loaded = Extract<FromEvaluator, { kind: "loaded" }>;

function checkFit({ entrypoints, functions }: Loaded, decision: string): void {
  if (!entrypoints.includes(decision)) throw new Error(`has no entrypoint ${decision}; it has ${entrypoints.join(", ")}`);
  const missing = Object.keys(named.parse(JSON.parse(functions))).filter((name) => !hostFunctions.includes(name));
  if (missing.length > 0) throw new Error(`calls ${missing.join(", ")}, which a bundle cannot: ask a server, or do without`);
}

const named = z.record(z.string(), z.number());

/** One rule gives one result; where it does not hold, none. */
const resultSet = z.array(z.object({ result: z.unknown() })).max(1);

interface Running {
  readonly thread: EvaluatingThread;
  readonly loaded: Promise<Loaded>;
}

/**
 * Each evaluation begins with a heap that ends behind the data. After one that failed, was late or wanted too much memory, its thread is
 * ended, and the next evaluation is another thread's.
 */
class RegoInThread implements Rego, Disposable {
  readonly version: string;
  readonly #evaluated: Evaluated;
  readonly #clock: Clock;
  readonly #longest: Duration;
  readonly #turns = new Turns();
  #running: Running | undefined;
  #asked = 0;
  #over = false;

  constructor(version: string, evaluated: Evaluated, { clock, longest = longestEvaluation }: EvaluationParts) {
    this.version = version;
    this.#evaluated = evaluated;
    this.#clock = clock;
    this.#longest = longest;
  }

  loaded(): Promise<Loaded> {
    this.#running ??= this.#start();
    return this.#running.loaded;
  }

  /** The jobs of one runner share its user, so the lines are those of CI jobs, which nobody can make up. */
  async ask(question: Question, signal: AbortSignal): Promise<Said> {
    this.#asked += 1;
    try {
      const input = bytesOf(Buffer.from(JSON.stringify(question)));
      const text = await this.#turns.take(question.identity.job, signal, () => this.#evaluate(input));
      return { result: resultSet.parse(JSON.parse(text))[0]?.result, id: undefined };
    } finally {
      this.#asked -= 1;
      this.#endIfOver();
    }
  }

  async #evaluate(input: ArrayBuffer): Promise<string> {
    await this.loaded();
    const { thread } = this.#running ?? this.#start();
    try {
      const message = await thread.ask(input, this.#longest);
      if (message.kind === "said") return message.text;
      throw new Error(message.kind === "failed" ? message.words : "the policy did not answer");
    } catch (error) {
      this.#end();
      // At once, so that the next one need not wait for it.
      if (!this.#over) this.#running = this.#start();
      throw error;
    }
  }

  #start(): Running {
    const thread = new EvaluatingThread(this.#evaluated, this.#clock);
    const loaded = thread.loaded(longestLoading).then((message) => {
      if (message.kind === "loaded") return message;
      throw new Error(`does not load: ${message.kind === "failed" ? message.words : message.kind}`);
    });
    const running = { thread, loaded };
    loaded.catch(() => {
      thread.end();
      if (this.#running === running) this.#running = undefined;
    });
    return running;
  }

  #end(): void {
    this.#running?.thread.end();
    this.#running = undefined;
  }

  #endIfOver(): void {
    if (this.#over && this.#asked === 0) this.#end();
  }

  /** Those who wait are still answered. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#endIfOver();
  }
}

/** Of a buffer of its own: Node cuts small ones out of a larger one. */
function bytesOf(bytes: Buffer): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
