import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "./config.ts";
import type { Delivery } from "./delivery/delivery.ts";
import { BrokerError } from "./errors.ts";
import { readOwned } from "./policy/language/owned.ts";
import { mostBundleBytes, readBundle } from "./policy/opa/bundle.ts";
import type { LastWordConfig } from "./policy/opa/config.ts";
import type { LastWord } from "./policy/opa/last-word.ts";
import { lastWordOf } from "./policy/opa/opa.ts";
import type { Limits } from "./policy/opa/question.ts";
import type { Rego } from "./policy/opa/rego.ts";
import { regoServer } from "./policy/opa/server.ts";
import { regoInBundle } from "./policy/opa/wasm.ts";
import type { Isolation } from "./sandbox/sandbox.ts";
import type { Clock } from "./time.ts";

/** Where the site's last word comes from. */
export interface LastWordSource {
  /** The file that it is read from; undefined where a server is asked. */
  readonly path: string | undefined;
  /** Reads it as it is now. Rejects, in our words, where it cannot be believed or does not load. */
  read(): Promise<LastWordRead>;
}

/** Disposed of once another one is in force; who asks by then is still answered. */
export interface LastWordRead extends Disposable {
  readonly word: LastWord<Delivery, Isolation>;
  /** SHA-256, hex, of the bundle; undefined where a server is asked. */
  readonly digest: string | undefined;
}

/** None where mayfly.yaml has no `last_word`. Throws `config-invalid` where its `ca` cannot be read. */
export function lastWordSource(
  { last_word: config }: Config,
  owners: readonly number[],
  clock: Clock,
): LastWordSource | undefined {
  if (config === undefined) return undefined;
  const wordOf = (rego: Rego) => lastWordOf<Delivery, Isolation>(rego, { clock, random: randomBytes, limits: limitsOf });
  if (config.kind === "server") {
    const word = wordOf(regoServer(config, authorityOf(config)));
    return { path: undefined, read: () => Promise.resolve({ word, digest: undefined, [Symbol.dispose]: () => undefined }) };
  }
  const { path, decision } = config;
  return {
    path,
    async read() {
      const bundle = readBundle(await readOwned(path, owners, mostBundleBytes));
      const rego = await regoInBundle(bundle, decision, { clock });
      return { word: wordOf(rego), digest: bundle.digest, [Symbol.dispose]: () => rego[Symbol.dispose]() };
    },
  };
}

/** Why it cannot be had, in words for an operator; undefined where it can. Nothing of it is kept. */
export async function lastWordFlaw(source: LastWordSource): Promise<string | undefined> {
  try {
    using _read = await source.read();
    return undefined;
  } catch (error) {
    return wordsOf(error);
  }
}

/** What `read` rejects with. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function authorityOf({ ca }: Extract<LastWordConfig, { kind: "server" }>): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `last_word.ca: ${ca} cannot be read`, { cause });
  }
}

function limitsOf({ memory, cpus, pids, timeout, image, tolerate }: Isolation): Limits {
  return { memory, cpus, pids, timeout: timeout / 1_000, image: image ?? null, tolerate };
}
