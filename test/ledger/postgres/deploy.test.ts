import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { sharedSchema } from "../../../src/ledger/postgres/config.ts";
import { schema } from "../../../src/ledger/postgres/schema.ts";

test("deploy/postgres.sql makes the table that a broker would make", () => {
  expect(readFileSync("deploy/postgres.sql", "utf8")).toContain(schema.trim());
});

test("the sample of deploy/README.md loads", () => {
  const [, sample = ""] = /```yaml\n(shared:[^`]*)```/.exec(readFileSync("deploy/README.md", "utf8")) ?? [];
  const { shared } = parse(sample) as { readonly shared: unknown };
  expect(sharedSchema.parse(shared).postgres.host).toBe("db.ci.example.com");
});
