/** What is used of the library, whose own types lean on a browser's, and of OPA's WebAssembly ABI. Addresses are in `mem`. */
interface Library {
  loadPolicySync(wasm: ArrayBuffer, memory: Evaluated["memory"]): Compiled;
}

interface Compiled {
  readonly entrypoints: Readonly<Record<string, number>>;
  readonly mem: { readonly buffer: ArrayBuffer };
  readonly wasmInstance: { readonly exports: { builtins(): number; opa_json_dump(value: number): number } };
  setData(data: ArrayBuffer): void;
  evaluate(input: ArrayBuffer, entrypoint: string): unknown;
}

/** What its thread is started with. */
export interface Evaluated {
  readonly wasm: ArrayBuffer;
  /** Pages of 64 KiB. */
  readonly memory: { readonly initial: number; readonly maximum: number };
  /** JSON, in UTF-8. */
  readonly data: ArrayBuffer;
  readonly decision: string;
  /** Characters of an answer; what is longer would hold up whoever reads it. */
  readonly longestAnswer: number;
}

export type FromEvaluator =
  /** `functions` is JSON: the functions that the policy leaves to its host, by their names. */
  | { readonly kind: "loaded"; readonly entrypoints: readonly string[]; readonly functions: string }
  /** The result set, as JSON. */
  | { readonly kind: "said"; readonly text: string }
  | { readonly kind: "failed"; readonly words: string };

interface Thread {
  readonly parentPort: {
    postMessage(message: FromEvaluator): void;
    on(event: "message", hear: (input: ArrayBuffer) => void): void;
  };
  readonly workerData: Evaluated;
}

/**
 * The whole of an evaluating thread. It is started from its own text, so it leans on nothing outside of it, neither an import nor a
 * constant: a broker that gave up root may be unable to read its own folder, and must be able to start another one at any time.
 */
export function evaluator({ loadPolicySync }: Library, { parentPort, workerData }: Thread): void {
  const { wasm, memory, data, decision, longestAnswer } = workerData;
  // The library complains on it, and a policy prints there: it is no log of ours.
  Object.assign(console, { log: () => undefined, warn: () => undefined, error: () => undefined });
  const wordsOf = (error: unknown): string =>
    typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
  const say = (work: () => FromEvaluator): void => {
    let message: FromEvaluator;
    try {
      message = work();
    } catch (error) {
      message = { kind: "failed", words: wordsOf(error).slice(0, 500) };
    }
    parentPort.postMessage(message);
  };
  const functionsOf = ({ wasmInstance, mem }: Compiled): string => {
    const from = wasmInstance.exports.opa_json_dump(wasmInstance.exports.builtins());
    const bytes = new Uint8Array(mem.buffer);
    return new TextDecoder().decode(bytes.subarray(from, bytes.indexOf(0, from)));
  };
  say(() => {
    const policy = loadPolicySync(wasm, memory);
    policy.setData(data);
    parentPort.on("message", (input) =>
      say(() => {
        const text = JSON.stringify(policy.evaluate(input, decision));
        if (text.length > longestAnswer) throw new Error(`the policy's answer is longer than ${longestAnswer} characters`);
        return { kind: "said", text };
      }),
    );
    return { kind: "loaded", entrypoints: Object.keys(policy.entrypoints), functions: functionsOf(policy) };
  });
}
