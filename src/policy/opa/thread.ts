import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Clock, type Duration, within } from "../../time.ts";
import { type Evaluated, evaluator, type FromEvaluator } from "./evaluator.ts";

/**
 * Read as soon as this file is imported, while whoever started the broker can still read its folder. The library's browser build is one
 * text that needs no other.
 */
const require = createRequire(import.meta.url);
const library = readFileSync(
  require.resolve("@open-policy-agent/opa-wasm").replace(/src\/index\.cjs$/, "dist/opa-wasm-browser.js"),
  "utf8",
);
const source = `var window = globalThis;\n${library}\n;(${evaluator.toString()})(opa, require("node:worker_threads"));`;

/** MiB, of what JavaScript has beside WebAssembly's own memory: the library's functions work there. */
const resourceLimits = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** One thread that evaluates one policy, one question at a time. Whatever goes wrong in it, the broker's own loop goes on. */
export class EvaluatingThread {
  readonly #worker: Worker;
  readonly #clock: Clock;
  #heard = Promise.withResolvers<FromEvaluator>();

  constructor(evaluated: Evaluated, clock: Clock) {
    this.#clock = clock;
    const options = { eval: true, name: "last-word", env: {}, execArgv: [], argv: [], workerData: evaluated, resourceLimits };
    this.#worker = new Worker(source, options);
    this.#worker.on("message", (message: FromEvaluator) => this.#heard.resolve(message));
    this.#worker.on("error", (error) => this.#heard.reject(error));
    this.#worker.on("exit", () => this.#heard.reject(new Error("the policy's thread has ended")));
    this.#worker.unref();
    this.#heard.promise.catch(() => undefined);
  }

  /** Its first word, once the policy and its data are loaded. */
  loaded(within: Duration): Promise<FromEvaluator> {
    return this.#next(within);
  }

  ask(input: ArrayBuffer, within: Duration): Promise<FromEvaluator> {
    this.#heard = Promise.withResolvers();
    this.#worker.postMessage(input, [input]);
    return this.#next(within);
  }

  async #next(span: Duration): Promise<FromEvaluator> {
    // An answer that came while the broker itself was busy is not late: it is heard in the turn after the timer's.
    const late = () => nextTurn<FromEvaluator>({ kind: "failed", words: `the policy takes longer than ${span} ms` });
    return within(this.#clock, span, this.#heard.promise, late);
  }

  end(): void {
    void this.#worker.terminate();
  }
}
