import { type Level, pino } from "pino";
import { BrokerError } from "./errors.ts";
import { createMaskSet } from "./masking/mask-set.ts";
import type { MaskSet } from "./masking/masker.ts";
import { tooShort } from "./masking/too-short.ts";
import { Secret } from "./secret.ts";
import type { Clock } from "./time.ts";

/** The operator's log: one JSON object a line. Fields first, then what happened, lower case, no full stop. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** Hides these values in every later line, in all their forms, until the returned object is disposed. */
  hiding(secrets: readonly Secret[]): Disposable;
}

export interface LogParts {
  readonly level: Level | "silent";
  /** Takes whole lines: `process.stderr`, or a list in a test. */
  readonly destination: { write(line: string): unknown };
  readonly clock: Clock;
}

/**
 * pino redacts by path, never by value, so its finished lines pass through a masker as well; before that, errors and bytes
 * are reduced to what may be told (`plain`).
 */
export function createLog({ level, destination, clock }: LogParts): Log {
  const hidden = new Set<MaskSet>();
  const lines = { write: (line: string) => void destination.write(maskedLine(line, hidden)) };
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }), log: (fields: object) => plainFields(fields, 0) },
    serializers: { err: (error: unknown) => error },
  };
  const logger = pino(options, lines);
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    hiding: (secrets) => hide(secrets, hidden),
  };
}

function hide(secrets: readonly Secret[], hidden: Set<MaskSet>): Disposable {
  const set = createMaskSet();
  set.add(secrets.filter((secret) => !tooShort(secret)));
  hidden.add(set);
  return {
    [Symbol.dispose]: () => {
      if (hidden.delete(set)) set.wipe();
    },
  };
}

/** One set per lease, so that what has ended costs nothing; a line whose masking fails is withheld. */
export function maskedLine(line: string, hidden: ReadonlySet<MaskSet>): string {
  try {
    let bytes: Uint8Array = Buffer.from(line);
    for (const set of hidden) {
      const masker = set.masker();
      bytes = Buffer.concat([masker.write(bytes), masker.end()]);
    }
    return Buffer.from(bytes).toString();
  } catch {
    return '{"level":"error","msg":"a line of this log was withheld: it could not be masked"}\n';
  }
}

const deepest = 6;

/**
 * Errors give their words and nothing that hangs on them: an HTTP client's error carries its request, headers and all. Bytes give
 * their count, since a masker would not know a secret that is printed as a list of numbers.
 */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === "bigint" || value instanceof Secret) return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > deepest) return "[too deep]";
  if (value instanceof Error) return plainError(value, depth);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map((item) => plain(item, depth + 1));
  return plainFields(value, depth);
}

function plainFields(fields: object, depth: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value, depth + 1)]));
}

function plainError(error: Error, depth: number): Record<string, unknown> {
  const told: Record<string, unknown> = { type: error.name, message: error.message };
  // What we foresaw is no bug of ours: where in the code it was said tells an operator nothing.
  if (!(error instanceof BrokerError) || error.code === "internal") told["stack"] = error.stack;
  for (const name of ["code", "hint", "detail"]) {
    const word: unknown = Reflect.get(error, name);
    if (typeof word === "string" || typeof word === "number") told[name] = word;
  }
  if (error.cause !== undefined) told["cause"] = plain(error.cause, depth + 1);
  if (error instanceof AggregateError) told["errors"] = plain(error.errors, depth + 1);
  return told;
}
