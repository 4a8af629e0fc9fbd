import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Row, rowOf } from "./row.ts";

/** One number for the whole ledger that only rises, so that the fences of different scopes can be compared. */
export class Fences {
  readonly #next: StatementSync;
  readonly #set: StatementSync;
  readonly #over: StatementSync;

  constructor(database: DatabaseSync) {
    this.#next = database.prepare("UPDATE meta SET fence = fence + 1 RETURNING fence");
    this.#set = database.prepare("INSERT OR REPLACE INTO fence (scope, fence, closed) VALUES (?, ?, ?)");
    this.#over = database.prepare(`
      SELECT coalesce(max(fence), 0) AS fence, coalesce(max(closed), 0) AS closed
      FROM fence WHERE scope IN (SELECT value FROM json_each(?))`);
  }

  raise(scope: string, closed: boolean): number {
    const fence = new Row(this.#next.get() ?? {}).whole("fence");
    this.#set.run(scope, fence, closed ? 1 : 0);
    return fence;
  }

  over(scopes: readonly string[]): { readonly fence: number; readonly closed: boolean } {
    const row = rowOf(this.#over.get(JSON.stringify(scopes)));
    return { fence: row?.whole("fence") ?? 0, closed: row?.whole("closed") === 1 };
  }
}
