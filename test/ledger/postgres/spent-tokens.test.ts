import { spentTokensConformance } from "../../conformance/spent-tokens.ts";
import { startPostgres } from "../../servers/postgres.ts";
import { configFor, openStore } from "./stage.ts";

spentTokensConformance("the PostgreSQL table", async () => {
  const postgres = await startPostgres();
  return {
    open: (origin) => openStore({ config: configFor(postgres), origin }),
    contents: async () => (await postgres.sql("SELECT s::text FROM mayfly.spent_token s")).stdout,
    [Symbol.asyncDispose]: () => postgres.stop(),
  };
});
