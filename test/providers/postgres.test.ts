import { fill } from "../../src/policy/slots.ts";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { postgresBinaries } from "../servers/postgres.ts";
import { alive, loginOf, openPostgresBench, ttl } from "./postgres-bench.ts";

const reason = postgresBinaries() === undefined ? "PostgreSQL is not installed: run scripts/setup.sh --tests" : undefined;

provesProvider(
  "postgres",
  async (): Promise<Bench> => {
    const bench = await openPostgresBench();
    const { provider, authority, proxy, postgres } = bench;
    const parsed = (options: object): unknown => fill(provider.options.parse(options), {});
    return {
      provider,
      proofs: authority.proofs,
      options: parsed({ roles: ["shop_read"] }),
      ttl,
      works: async (material) => (await postgres.sql("SELECT id FROM orders", loginOf(material))).stdout === "7\n",
      alive: (lease) => alive(bench, lease),
      upstream: {
        proxy,
        effects: [{ method: "Q", path: "CREATE ROLE" }],
        refused: parsed({ roles: ["no_such_role"] }),
        never: { role: "mayfly_lse-nonesuch", owner: "shop_read", until: new Date().toISOString() },
      },
      [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
    };
  },
  reason,
);
