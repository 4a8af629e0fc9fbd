import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { postgresBinaries } from "../servers/postgres.ts";
import { alive, done, endOf, type Held, hold, openPostgresBench, type PostgresBench } from "./postgres-bench.ts";

const reason = postgresBinaries() === undefined ? "PostgreSQL is not installed: run scripts/setup.sh --tests" : undefined;

let bench: PostgresBench;
beforeAll(async () => {
  if (reason !== undefined) return;
  bench = await openPostgresBench();
  await done(bench.postgres.sql("ALTER SYSTEM SET log_statement = 'all'"));
  await done(bench.postgres.sql("SELECT pg_reload_conf()"));
  await done(bench.postgres.sql("CREATE DATABASE archive"));
});
beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
afterAll(() => bench?.[Symbol.asyncDispose]());

describe("a role for one lease, by the word of a real PostgreSQL,", () => {
  let held: Held;
  beforeAll(async () => {
    if (reason === undefined) held = await hold(bench, { roles: ["shop_read"], connections: 2, statement_timeout: "90s" });
  });

  const allowed: readonly (readonly [string, string, string])[] = [
    ["reads what its role reads", "SELECT id FROM orders", "7"],
    ["works as the role that it was given", "SELECT current_user", "shop_read"],
    ["is known as its lease", "SELECT session_user LIKE 'mayfly_lse-%'", "t"],
    ["has the limits that it was given", "SHOW statement_timeout", "90s"],
  ];
  it.each(allowed)("%s", async (_, statement, answer) => {
    expect(await done(held.sql(statement))).toBe(answer);
  });

  const refused: readonly (readonly [string, string, string])[] = [
    ["write where it may read", "INSERT INTO orders VALUES (8)", "permission denied for table orders"],
    ["read another table", "SELECT * FROM salaries", "permission denied for table salaries"],
    ["make a table", "CREATE TABLE mine (id int)", "permission denied for schema public"],
    ["become a role that it was not given", "SET ROLE shop_migrate", "permission denied to set role"],
    ["become the broker", "SET ROLE mayfly", "permission denied to set role"],
    ["make a role", "CREATE ROLE another LOGIN", "permission denied to create role"],
    ["give its role to others", "GRANT shop_read TO shop_unknown", "must have admin option on role"],
    [
      "live longer",
      "SET ROLE NONE; DO $$ BEGIN EXECUTE format('ALTER ROLE %I VALID UNTIL ''infinity''', session_user); END $$",
      "denied",
    ],
    [
      "have more sessions",
      "SET ROLE NONE; DO $$ BEGIN EXECUTE format('ALTER ROLE %I CONNECTION LIMIT -1', session_user); END $$",
      "denied",
    ],
    ["have its role's rights beside it", "SET ROLE NONE; SELECT id FROM orders", "permission denied for table orders"],
    ["read the server's files", "SELECT pg_read_file('/etc/passwd')", "permission denied for function pg_read_file"],
    ["see what the server stores of passwords", "SELECT rolpassword FROM pg_authid", "permission denied for table pg_authid"],
  ];
  it.each(refused)("cannot %s", async (_, statement, says) => {
    const outcome = await held.sql(statement);
    expect(outcome.code).not.toBe(0);
    expect(outcome.stderr).toContain(says);
  });

  it("has as many sessions as it was given", async () => {
    const both = [held.sql("SELECT pg_sleep(2)"), held.sql("SELECT pg_sleep(2)")];
    await until(async () => (await alive(bench, held.intent.lease)).length === 3);
    expect((await held.sql("SELECT 1")).stderr).toContain("too many connections for role");
    await Promise.all(both);
  });

  it("leaves its password in none of the server's logs", async () => {
    expect(bench.postgres.log()).toContain(`CREATE ROLE "${held.user}" LOGIN NOINHERIT`);
    expect(bench.postgres.log()).not.toContain(held.password);
  });

  it("is had by fifty at once, with ten connections of the broker's", async () => {
    const count = (what: string): Promise<string> => done(bench.postgres.sql(`SELECT count(*) FROM ${what}`));
    const [most, roles] = ["pg_stat_activity WHERE usename = 'mayfly'", "pg_roles WHERE rolname LIKE 'mayfly_lse-%'"];
    let over = false;
    const seen: number[] = [];
    const watch = (async () => {
      while (!over) seen.push(Number(await count(most)));
    })();
    const all = await Promise.all(Array.from({ length: 50 }, () => hold(bench, { roles: ["shop_read"] })));
    expect(await count(roles)).toBe("51");
    await Promise.all(all.map((one) => one.end()));
    over = true;
    await watch;
    expect(await count(roles)).toBe("1");
    expect(Math.max(...seen)).toBeGreaterThan(2);
    expect(Math.max(...seen)).toBeLessThanOrEqual(12);
  });

  it("takes one role of several at a time", async () => {
    const two = await hold(bench, { roles: ["shop_read", "shop_migrate"] });
    expect(await done(two.sql("SET ROLE shop_migrate; CREATE TABLE kept_by_role (id int); SELECT current_user"))).toBe(
      "shop_migrate",
    );
    expect((await two.sql("INSERT INTO orders VALUES (8)")).stderr).toContain("permission denied for table orders");
    await two.end();
    expect(await ownerOf("kept_by_role")).toBe("shop_migrate");
  });
});

describe("the end of a role", () => {
  it("throws out who is in", async () => {
    const held = await hold(bench, { roles: ["shop_read"] });
    const busy = held.sql("SELECT pg_sleep(30)");
    await until(async () => (await alive(bench, held.intent.lease)).includes("session"));
    const before = performance.now();
    await held.end();
    expect((await busy).stderr).toContain("terminating connection due to administrator command");
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(await alive(bench, held.intent.lease)).toEqual([]);
  });

  it("comes to a stop while somebody keeps coming in", async () => {
    const held = await hold(bench, { roles: ["shop_read"], connections: 20 });
    let over = false;
    const storm = Array.from({ length: 6 }, async () => {
      while (!over) await held.sql("SELECT pg_sleep(5)");
    });
    await until(async () => (await alive(bench, held.intent.lease)).includes("session"));
    await held.end();
    expect(await alive(bench, held.intent.lease)).toEqual([]);
    expect(
      await done(bench.postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE usename IS NULL AND usesysid IS NOT NULL")),
    ).toBe("0");
    over = true;
    await Promise.all(storm);
  });

  const own = (table: string): string => `SET ROLE NONE; CREATE TABLE ${table} (id int); SELECT lo_create(0) > 0`;
  const open = "GRANT CREATE ON SCHEMA public TO PUBLIC";

  it("gives what the role itself owned to the first of its roles, never to the broker", async () => {
    await done(bench.postgres.sql(open));
    const held = await hold(bench, { roles: ["shop_migrate"] });
    const runs = "CREATE FUNCTION trap() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'";
    await done(held.sql(`${own("left_behind")}; ${runs}`));
    expect(await ownerOf("left_behind")).toContain(held.user);
    await held.end();
    expect(await ownerOf("left_behind")).toBe("shop_migrate");
    expect(await done(bench.postgres.sql("SELECT proowner::regrole FROM pg_proc WHERE proname = 'trap'"))).toBe("shop_migrate");
    expect(await alive(bench, held.intent.lease)).toEqual([]);
  });

  it("drops it where the template says so, with what depends on it", async () => {
    await done(bench.postgres.sql(open));
    const held = await hold(bench, { roles: ["shop_migrate"], owned: "drop" });
    await done(held.sql(`${own("thrown_away")}; GRANT SELECT ON thrown_away TO shop_migrate`));
    await done(held.sql("CREATE VIEW upon_it AS SELECT * FROM thrown_away"));
    await held.end();
    expect(await ownerOf("thrown_away")).toBe("");
    expect(await ownerOf("upon_it")).toBe("");
  });

  it("finds what is in other databases", async () => {
    const held = await hold(bench, { roles: ["shop_read"] });
    const elsewhere = "CREATE EXTENSION IF NOT EXISTS dblink";
    await done(bench.postgres.sql(elsewhere));
    const archive = `dbname=archive host=127.0.0.1 port=${bench.postgres.port} user=${held.user} password=${held.password} options=-crole=none`;
    await done(held.sql(`SELECT * FROM dblink('${archive}', 'SELECT lo_create(4242)') AS t (made oid)`));
    const there = "SELECT lomowner::regrole::text FROM pg_largeobject_metadata WHERE oid = 4242";
    const asSuper = `dbname=archive host=127.0.0.1 port=${bench.postgres.port} user=postgres password=${bench.postgres.password}`;
    const owner = (): Promise<string> =>
      done(bench.postgres.sql(`SELECT * FROM dblink('${asSuper}', $$${there}$$) AS t (o text)`));
    expect(await owner()).toContain(held.user);
    await held.end();
    expect(await owner()).toBe("shop_read");
    expect(await alive(bench, held.intent.lease)).toEqual([]);
  });

  it("is refused for a role that is no lease's", async () => {
    const { revocation } = bench.provider;
    if (revocation === "none") throw new Error("it can revoke");
    const held = await hold(bench, { roles: ["shop_read"] });
    for (const role of ["shop_read", "postgres", "mayfly", ""])
      await expect(revocation.revoke({ role }, endOf(bench, held.intent))).rejects.toMatchObject({ code: "internal" });
    expect(
      await done(bench.postgres.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('shop_read', 'postgres', 'mayfly')")),
    ).toBe("3");
  });

  it("waits for no broker: it lets nobody in once its time is over", async () => {
    const provider = await bench.configure({ renew_within: "2s" });
    const held = await hold(bench, { roles: ["shop_read"] }, provider);
    expect(held.ending).toMatchObject({ kind: "revoke", renewWithin: 2_000 });
    expect(await done(held.sql("SELECT 1"))).toBe("1");
    const { revocation } = provider;
    if (revocation === "none" || held.ending.kind !== "revoke") throw new Error("it can revoke");
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect((await held.sql("SELECT 1")).stderr).toContain("password authentication failed");
    await revocation.renew?.(held.ending.handle, endOf(bench, held.intent));
    expect(await done(held.sql("SELECT 1"))).toBe("1");
    await held.end();
    await expect(revocation.renew?.(held.ending.handle, endOf(bench, held.intent))).rejects.toMatchObject({
      code: "provider-refused",
    });
    // Never beyond what it was given with.
    const late = await hold(bench, { roles: ["shop_read"] }, provider);
    const soon = new Date(Date.now() + 500).toISOString();
    if (late.ending.kind === "revoke")
      await revocation.renew?.({ ...late.ending.handle, until: soon }, endOf(bench, late.intent));
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await late.sql("SELECT 1")).stderr).toContain("password authentication failed");
  });
});

function ownerOf(table: string): Promise<string> {
  return done(bench.postgres.sql(`SELECT relowner::regrole FROM pg_class WHERE relname = '${table}'`));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let left = 100; left > 0; left--) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it never came to that");
}
