import { createContext, Script } from "node:vm";
import { loadPolicy } from "@open-policy-agent/opa-wasm";
import { z } from "zod";
import type { Duration } from "../../time.ts";
import type { Bundle } from "./bundle.ts";
import type { Question } from "./question.ts";
import type { Rego } from "./rego.ts";

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

/** What is used of the library, whose own types lean on a browser's, and of OPA's WebAssembly ABI. Addresses are in `mem`. */
interface Compiled {
  readonly entrypoints: Readonly<Record<string, number>>;
  readonly mem: { readonly buffer: ArrayBuffer };
  readonly wasmInstance: { readonly exports: { builtins(): number; opa_json_dump(value: number): number } };
  setData(data: object): void;
  evaluate(input: Question, entrypoint: string): unknown;
}

/** The broker does nothing else meanwhile; a policy of ordinary size takes a tenth of a millisecond. */
const longestEvaluation: Duration = 250;

/**
 * A compiled policy, evaluated in this process. Rejects, in our words, where it does not load, lacks the rule, or calls what a bundle
 * cannot. Each evaluation begins with a heap that ends behind the data; after one that failed, the next begins with a new instance.
 */
export async function regoInBundle(bundle: Bundle, decision: string, longest = longestEvaluation): Promise<Rego> {
  const { digest, wasm, data } = bundle;
  // The name of an export that every such module has. The library would complain on a console, which is no log of ours.
  if (!wasm.includes("opa_wasm_abi_minor_version")) throw new Error("was not compiled by OPA");
  const load = () => loaded(wasm, data, longest);
  let idle: Compiled | undefined = await load();
  checkFit(idle, decision);
  return {
    version: digest.slice(0, 12),
    async ask(question) {
      const policy = idle ?? (await load());
      idle = undefined;
      const results = bounded(longest, () => policy.evaluate(question, decision));
      idle = policy;
      return { result: resultSet.parse(results)[0]?.result, id: undefined };
    },
  };
}

async function loaded(wasm: Buffer, data: object, longest: Duration): Promise<Compiled> {
  const policy: Compiled = await loadPolicy(new Uint8Array(wasm), memory);
  bounded(longest, () => policy.setData(data));
  return policy;
}

function checkFit(policy: Compiled, decision: string): void {
  const names = Object.keys(policy.entrypoints);
  if (!names.includes(decision)) throw new Error(`has no entrypoint ${decision}; it has ${names.join(", ")}`);
  const missing = functionsOf(policy).filter((name) => !hostFunctions.includes(name));
  if (missing.length > 0) throw new Error(`calls ${missing.join(", ")}, which a bundle cannot: ask a server, or do without`);
}

/** The names of the functions that it leaves to its host. */
function functionsOf({ wasmInstance, mem }: Compiled): readonly string[] {
  const { builtins, opa_json_dump: dump } = wasmInstance.exports;
  const from = dump(builtins());
  const bytes = Buffer.from(mem.buffer);
  return Object.keys(named.parse(JSON.parse(bytes.toString("utf8", from, bytes.indexOf(0, from)))));
}

const named = z.record(z.string(), z.number());

/** One rule gives one result; where it does not hold, none. */
const resultSet = z.array(z.object({ result: z.unknown() })).max(1);

const context: { work: (() => unknown) | undefined } = { work: undefined };
createContext(context);
const script = new Script("work()");

/** A watchdog outside of JavaScript ends it, so that neither a loop in WebAssembly nor a regular expression can hold the broker. */
function bounded<T>(longest: Duration, work: () => T): T {
  let done: { readonly value: T } | undefined;
  context.work = () => {
    done = { value: work() };
  };
  try {
    script.runInContext(context, { timeout: longest });
  } catch (error) {
    // An error of the other context's own kind, so it is told by its code alone.
    const late =
      typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
    throw late ? new Error(`the policy takes longer than ${longest} ms`) : error;
  } finally {
    context.work = undefined;
  }
  if (done === undefined) throw new Error("the policy did not come to an end");
  return done.value;
}
