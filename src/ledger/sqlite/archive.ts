import { createHash } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BrokerError } from "../../errors.ts";
import type { Entry } from "../entry.ts";
import { entryOf } from "../leaf.ts";
import type { EntryQuery } from "../ledger.ts";
import { Row, rowOf } from "./row.ts";

/** What is only looked up: entries by what they are about, policy texts by their digest. */
export class Archive {
  readonly #ascending: StatementSync;
  readonly #descending: StatementSync;
  readonly #aboutAscending: StatementSync;
  readonly #aboutDescending: StatementSync;
  readonly #insertPolicy: StatementSync;
  readonly #findPolicy: StatementSync;

  constructor(database: DatabaseSync) {
    const kinds = "($kinds IS NULL OR e.kind IN (SELECT value FROM json_each($kinds)))";
    const about = "about a JOIN entry e ON e.idx = a.idx WHERE a.id = $about AND a.idx";
    const all = "entry e WHERE e.idx";
    this.#ascending = database.prepare(`SELECT e.leaf FROM ${all} >= $from AND ${kinds} ORDER BY e.idx LIMIT $limit`);
    this.#descending = database.prepare(`SELECT e.leaf FROM ${all} <= $from AND ${kinds} ORDER BY e.idx DESC LIMIT $limit`);
    this.#aboutAscending = database.prepare(`SELECT e.leaf FROM ${about} >= $from AND ${kinds} ORDER BY a.idx LIMIT $limit`);
    this.#aboutDescending = database.prepare(
      `SELECT e.leaf FROM ${about} <= $from AND ${kinds} ORDER BY a.idx DESC LIMIT $limit`,
    );
    this.#insertPolicy = database.prepare("INSERT OR IGNORE INTO policy (digest, text) VALUES (?, ?)");
    this.#findPolicy = database.prepare("SELECT text FROM policy WHERE digest = ?");
  }

  entries(query: EntryQuery): readonly Entry[] {
    const { about, newestFirst = false, limit } = query;
    const from = query.from ?? (newestFirst ? Number.MAX_SAFE_INTEGER : 0);
    const kinds = query.kinds === undefined ? null : JSON.stringify(query.kinds);
    const plain = { from, kinds, limit };
    const rows =
      about === undefined
        ? (newestFirst ? this.#descending : this.#ascending).all(plain)
        : (newestFirst ? this.#aboutDescending : this.#aboutAscending).all({ ...plain, about });
    return rows.map((values) => entryOf(new Row(values).bytes("leaf")));
  }

  /** Throws `policy-invalid` when the digest is not the text's own: an answer to "who could have" must not be a mix-up. */
  storePolicy(policy: { readonly digest: string; readonly text: string }): void {
    if (digestOf(policy.text) !== policy.digest)
      throw new BrokerError("policy-invalid", "the policy's digest is not that of its text");
    this.#insertPolicy.run(policy.digest, policy.text);
  }

  policyText(digest: string): string | undefined {
    const text = rowOf(this.#findPolicy.get(digest))?.text("text");
    if (text !== undefined && digestOf(text) !== digest)
      throw new BrokerError("ledger-corrupt", "a stored policy text was changed");
    return text;
  }
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
