import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PostgresConfig } from "../../../src/ledger/postgres/config.ts";
import { type Postgres, startPostgres } from "../../servers/postgres.ts";
import { serverIdentity } from "../../servers/tls.ts";
import { newFolder } from "../fixture.ts";
import { configFor, openStore, passwordFile } from "./stage.ts";

const ddl = readFileSync("deploy/postgres.sql", "utf8");
const password = "a password of nobody";

/** What the broker says when it cannot use the store that its configuration names; undefined where it can. */
async function said(config: PostgresConfig): Promise<Record<string, unknown> | undefined> {
  try {
    await using store = await openStore({ config, origin: "brokers.test/one" });
    await store.claim({ key: crypto.randomUUID(), session: "s", forgetAfter: Date.now() });
    return undefined;
  } catch (error) {
    const { code, message, hint } = error as Record<string, unknown>;
    return { code, message, hint };
  }
}

let postgres: Postgres;
let authority: string;
beforeAll(async () => {
  const identity = await serverIdentity();
  authority = join(newFolder(), "ca.pem");
  writeFileSync(authority, identity.cert);
  postgres = await startPostgres({ tls: identity });
});
afterAll(() => postgres.stop());

const sql = async (statement: string): Promise<void> => expect(await postgres.sql(statement)).toMatchObject({ code: 0 });
const guest = (parts: Partial<PostgresConfig> = {}) =>
  configFor(postgres, { user: "guest", password_file: passwordFile(password), ...parts });

describe("a broker whose store is not as it should be refuses to start, and says what to do", () => {
  test("with a wrong password", async () => {
    expect(await said(configFor(postgres, { password_file: passwordFile("wrong") }))).toEqual({
      code: "config-invalid",
      message: "the shared store does not let this user in with this password",
      hint: "check `user` and `password_file` of `shared.postgres`",
    });
    expect(await said(configFor(postgres))).toBeUndefined();
  });

  test("with a database that is not there", async () => {
    expect(await said(configFor(postgres, { database: "none" }))).toMatchObject({
      code: "config-invalid",
      message: "the shared store has no such database",
    });
  });

  test("with a password file that is missing, empty, or open to others", async () => {
    const messages = [];
    for (const password_file of [join(newFolder(), "none"), passwordFile(""), passwordFile("open", 0o640)])
      messages.push((await said(configFor(postgres, { password_file })))?.["message"]);
    expect(messages).toEqual([
      "the shared store's password file is missing or empty",
      "the shared store's password file is missing or empty",
      "a key of the broker can be read by others; its mode must be 0600",
    ]);
  });

  describe("with a table", () => {
    test("that is missing and that its user may not make, until deploy/postgres.sql has run", async () => {
      await sql("DROP SCHEMA IF EXISTS mayfly CASCADE");
      await sql(`CREATE ROLE guest LOGIN PASSWORD '${password}'`);
      expect(await said(guest())).toEqual({
        code: "config-invalid",
        message: "the shared store does not allow this user to make its table",
        hint: "as the owner of the database, run deploy/postgres.sql",
      });
      await sql(ddl);
      await sql("GRANT mayfly_broker TO guest");
      expect(await said(guest())).toBeUndefined();
    });

    test("that its user may only read", async () => {
      await sql("REVOKE DELETE ON mayfly.spent_token FROM mayfly_broker");
      expect(await said(guest())).toMatchObject({
        code: "config-invalid",
        message: "the shared store does not allow this user to select, insert, update and delete",
      });
      await sql("GRANT DELETE ON mayfly.spent_token TO mayfly_broker");
      expect(await said(guest())).toBeUndefined();
    });

    test.each([
      ["of another version", "COMMENT ON TABLE mayfly.spent_token IS 'mayfly 2: spent identity tokens'"],
      ["with a column more", "ALTER TABLE mayfly.spent_token ADD COLUMN extra text"],
      ["with a column of another kind", "ALTER TABLE mayfly.spent_token ALTER COLUMN session TYPE varchar(3)"],
      ["in which a token may stand twice", "ALTER TABLE mayfly.spent_token DROP CONSTRAINT spent_token_pkey"],
      ["that a crash would empty", "ALTER TABLE mayfly.spent_token SET UNLOGGED"],
    ])("%s", async (_, spoil) => {
      await sql("DROP SCHEMA IF EXISTS mayfly CASCADE");
      expect(await said(configFor(postgres))).toBeUndefined();
      await sql(spoil);
      expect(await said(configFor(postgres))).toMatchObject({
        code: "config-invalid",
        message: "the shared store's table of spent tokens is of another version or shape",
      });
      await sql("DROP SCHEMA mayfly CASCADE");
    });

    test("that it makes itself is the one of deploy/postgres.sql", async () => {
      const shape = async () =>
        (
          await postgres.sql(
            "SELECT string_agg(pg_get_indexdef(indexrelid), E'\\n' ORDER BY 1) FROM pg_index WHERE indrelid = 'mayfly.spent_token'::regclass",
          )
        ).stdout;
      await sql("DROP SCHEMA IF EXISTS mayfly CASCADE");
      expect(await said(configFor(postgres))).toBeUndefined();
      const made = await shape();
      await sql("DROP SCHEMA mayfly CASCADE");
      await sql(ddl);
      expect(await shape()).toBe(made);
      expect(await said(configFor(postgres))).toBeUndefined();
    });
  });

  describe("over TLS", () => {
    const secure = (parts: Partial<PostgresConfig> = {}) =>
      configFor(postgres, { host: "localhost", tls: "required", ca: authority, ...parts });
    const notBelieved = { code: "config-invalid", message: "the shared store's certificate is not believed" };

    test("the server must show a certificate of its own name, from an authority that is believed", async () => {
      expect(await said(secure())).toBeUndefined();
      expect(await said(secure({ host: "127.0.0.1" }))).toMatchObject(notBelieved);
      expect(await said(secure({ ca: undefined }))).toMatchObject(notBelieved);
      const other = join(newFolder(), "other.pem");
      writeFileSync(other, (await serverIdentity()).cert);
      expect(await said(secure({ ca: other }))).toMatchObject(notBelieved);
    });

    test("a server that speaks none is not spoken to", async () => {
      await using plain = await startPostgres();
      expect(await said({ ...secure(), port: plain.port })).toMatchObject({
        code: "config-invalid",
        message: "the shared store does not speak TLS",
      });
    });
  });

  describe("without TLS", () => {
    const unproven = { code: "config-invalid", message: "the shared store does not prove that it knows the password" };

    test.each(["trust", "password", "md5"])("a server that lets in by %s is not believed", async (method) => {
      const file = (await postgres.sql("SHOW hba_file")).stdout.trim();
      await sql("SET password_encryption = 'md5'; DROP ROLE IF EXISTS old; CREATE ROLE old LOGIN PASSWORD 'old password'");
      const rule = (how: string, who: string) => `host all ${who} 127.0.0.1/32 ${how}`;
      const rules = `SELECT unnest(ARRAY['${rule(method, "old")}', '${rule("scram-sha-256", "all")}', 'host all all ::1/128 scram-sha-256'])`;
      await sql(`COPY (${rules}) TO '${file}'`);
      await sql("SELECT pg_reload_conf()");
      await expect
        .poll(() => said(configFor(postgres, { user: "old", password_file: passwordFile("old password") })))
        .toMatchObject(unproven);
      expect(await said(configFor(postgres))).toBeUndefined();
    });

    test("who listens in PostgreSQL's place is not told the password", async () => {
      const heard: Buffer[] = [];
      const thief = createServer((socket: Socket) => {
        socket.on("error", () => undefined);
        // AuthenticationCleartextPassword (https://www.postgresql.org/docs/current/protocol-message-formats.html)
        socket.once("data", () => socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])));
        socket.on("data", (chunk) => heard.push(chunk));
      });
      await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
      const { port } = thief.address() as AddressInfo;
      expect(await said({ ...configFor(postgres), port })).toMatchObject(unproven);
      expect(Buffer.concat(heard).includes("postgres")).toBe(true);
      expect(Buffer.concat(heard).includes(postgres.password)).toBe(false);
      await new Promise((resolve) => thief.close(resolve));
    });
  });
});
