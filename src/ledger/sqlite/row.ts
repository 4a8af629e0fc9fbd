import type { SQLOutputValue } from "node:sqlite";
import { BrokerError } from "../../errors.ts";

/** A row as SQLite gives it. The tables are STRICT, so another type than the column's means that the file is broken. */
export class Row {
  readonly #values: Readonly<Record<string, SQLOutputValue>>;

  constructor(values: Readonly<Record<string, SQLOutputValue>>) {
    this.#values = values;
  }

  text(column: string): string {
    return this.textOrNull(column) ?? refuse(column);
  }

  textOrNull(column: string): string | null {
    const value = this.#values[column];
    return value === null || typeof value === "string" ? value : refuse(column);
  }

  whole(column: string): number {
    return this.wholeOrNull(column) ?? refuse(column);
  }

  wholeOrNull(column: string): number | null {
    const value = this.#values[column];
    return value === null || (typeof value === "number" && Number.isSafeInteger(value)) ? value : refuse(column);
  }

  bytes(column: string): Uint8Array {
    const value = this.#values[column];
    return value instanceof Uint8Array ? value : refuse(column);
  }
}

export function rowOf(values: Readonly<Record<string, SQLOutputValue>> | undefined): Row | undefined {
  return values === undefined ? undefined : new Row(values);
}

function refuse(column: string): never {
  throw new BrokerError("ledger-corrupt", undefined, { detail: `column ${column} holds another type than its table says` });
}
