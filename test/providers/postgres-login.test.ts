import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { catalogue } from "../../providers/catalogue.ts";
import { noAuthority } from "../../src/commands/templates.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { postgresBinaries, startPostgres } from "../servers/postgres.ts";
import { freePort } from "../servers/process.ts";
import { serverIdentity } from "../servers/tls.ts";
import { alive, done, hold, openPostgresBench, type PostgresBench } from "./postgres-bench.ts";

const reason = postgresBinaries() === undefined ? "PostgreSQL is not installed: run scripts/setup.sh --tests" : undefined;
const read = { roles: ["shop_read"] };

let bench: PostgresBench;
beforeAll(async () => {
  if (reason === undefined) bench = await openPostgresBench();
});
beforeEach(({ skip }) => void (reason !== undefined && skip(reason)));
afterAll(() => bench?.[Symbol.asyncDispose]());

const caught = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "it went well",
    (error: unknown) => error,
  );

describe("what is wrong with an upstream", () => {
  const wrong: readonly (readonly [string, () => Promise<object>, string, string])[] = [
    [
      "another password",
      async () => ({ login: { user: "mayfly", password_file: await secret("wrong") } }),
      "provider-refused",
      "password is wrong",
    ],
    ["no such database", async () => ({ database: "nonesuch" }), "provider-refused", "check `database`"],
    [
      "a password that others can read",
      async () => ({ login: { user: "mayfly", password_file: await secret("x", 0o644) } }),
      "provider-refused",
      "mode 0600",
    ],
    [
      "no password file",
      async () => ({ login: { user: "mayfly", password_file: "/nonexistent/password" } }),
      "provider-refused",
      "mode 0600",
    ],
    ["nobody there", async () => ({ port: await freePort() }), "provider-unavailable", ""],
    ["a server without TLS", async () => ({ allow_plaintext: false }), "provider-unavailable", ""],
  ];
  it.each(wrong)("%s: says so, and that nothing happened", async (_, config, code, hint) => {
    const provider = await bench.configure(await config());
    const error = await caught(hold(bench, read, provider));
    expect(error).toMatchObject({ code });
    if (hint !== "") expect(error).toMatchObject({ hint: expect.stringContaining(hint) });
  });

  const unfit: readonly (readonly [string, object, string])[] = [
    ["a role that there is not", { roles: ["no_such_role"] }, "create no_such_role"],
    ["a role through which one becomes a superuser", { roles: ["shop_behind"] }, "shop_root: it has SUPERUSER"],
  ];
  it.each(unfit)("%s: says so, and that nothing happened", async (_, options, hint) => {
    expect(await caught(hold(bench, options))).toMatchObject({ code: "provider-refused", hint: expect.stringContaining(hint) });
  });

  it("a login that may not make roles: says what it lacks", async () => {
    await done(bench.postgres.sql("CREATE ROLE weak LOGIN PASSWORD 'weak-password'"));
    const provider = await bench.configure({ login: { user: "weak", password_file: await secret("weak-password") } });
    expect(await caught(hold(bench, read, provider))).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("lacks a right"),
    });
    expect(await done(bench.postgres.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mayfly_lse%'"))).toBe("0");
  });

  it.each([-3_600_000, 3_600_000])("a clock that is %i ms off: says so, and that nothing happened", async (off) => {
    const clock = { ...systemClock, now: () => Date.now() + off };
    const provider = await shifted(clock);
    const error = await caught(hold(bench, read, provider));
    expect(error).toMatchObject({ code: "provider-refused", hint: expect.stringContaining("NTP") });
    expect(String(error)).toContain(`3600 s ${off > 0 ? "behind" : "ahead of"} the broker's`);
  });

  const misheard: readonly (readonly [string, string, string])[] = [
    ["a role that inherits", " NOINHERIT", "   INHERIT"],
    ["a role that makes databases", "NOCREATEDB ", "CREATEDB   "],
    ["more sessions", "LIMIT 5 ", "LIMIT 6 "],
    ["no expiry", " VALID UNTIL '2", " VALID UNTIL '9"],
    ["another membership", 'GRANT shop_read TO "', 'GRANT shop_root TO "'],
  ];
  it.each(misheard)("a server that makes %s: is not believed, and what it made is found and ended", async (_, said, heard) => {
    bench.proxy.mishear(said, heard);
    await done(bench.postgres.sql("ALTER ROLE mayfly SUPERUSER"));
    const error = await caught(hold(bench, read));
    expect(error).toMatchObject({ code: "provider-broken-promise" });
    const left = await done(bench.postgres.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'mayfly_lse-%'"));
    expect(left).toMatch(/^mayfly_lse-[0-9a-f]+$/);
    const { revocation } = bench.provider;
    const end = { proof: bench.authority.proofs.end("x"), signal: AbortSignal.timeout(5_000) };
    if (revocation !== "none") await revocation.revoke({ role: left }, end);
    await done(bench.postgres.sql("ALTER ROLE mayfly NOSUPERUSER"));
    expect(await done(bench.postgres.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'mayfly_lse-%'"))).toBe("0");
  });

  it("an impostor on the port is told nothing", async () => {
    const heard: Buffer[] = [];
    const impostor = createServer((socket) => {
      socket.on("error", () => undefined);
      // Asks for the password in clear: AuthenticationCleartextPassword.
      socket.once("data", () => socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])));
      socket.on("data", (bytes) => heard.push(bytes));
    });
    await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
    const address = impostor.address();
    if (typeof address !== "object" || address === null) throw new Error("no port");
    const provider = await bench.configure({ port: address.port });
    expect(await caught(hold(bench, read, provider))).toMatchObject({
      code: "provider-refused",
      hint: expect.stringContaining("use TLS"),
    });
    expect(Buffer.concat(heard).toString("latin1")).not.toContain((await readFile(bench.passwordFile, "latin1")).trim());
    impostor.close();
  });

  it("a database that is not everybody's: gives the right to enter with the role", async () => {
    await done(bench.postgres.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC"));
    await done(bench.postgres.sql("GRANT CONNECT ON DATABASE postgres TO mayfly"));
    const error = await caught(hold(bench, read).then((held) => done(held.sql("SELECT 1"))));
    expect(String(error)).toContain("CONNECT");
    await done(bench.postgres.sql("GRANT CONNECT ON DATABASE postgres TO mayfly WITH GRANT OPTION"));
    const held = await hold(bench, read);
    expect(await done(held.sql("SELECT 1"))).toBe("1");
    await held.end();
    expect(await alive(bench, held.intent.lease)).toEqual([]);
    await done(bench.postgres.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC"));
  });
});

describe("the broker's own password", () => {
  it("is replaced upstream and in its file, and works at once", async () => {
    const before = await readFile(bench.passwordFile, "utf8");
    await rotate();
    const after = await readFile(bench.passwordFile, "utf8");
    expect(after).not.toBe(before);
    expect((await bench.postgres.sql("SELECT 1", { user: "mayfly", password: before.trim() })).stderr).toContain(
      "authentication failed",
    );
    expect(await done((await hold(bench, read)).sql("SELECT 1"))).toBe("1");
    await expect(readFile(`${bench.passwordFile}.next`)).rejects.toThrow("ENOENT");
  });

  const effect = { method: "Q", path: "ALTER ROLE" };
  it("is good whichever answer was lost", async () => {
    for (const fault of ["reset", "drop-answer", "garble"] as const) {
      const before = await readFile(bench.passwordFile, "utf8");
      bench.proxy.next({ kind: fault }, effect);
      const error = await caught(rotate());
      const changed = (await readFile(bench.passwordFile, "utf8")) !== before;
      expect(changed, fault).toBe(fault !== "reset");
      expect(error === "it went well", fault).toBe(changed);
      expect(await done((await hold(bench, read)).sql("SELECT 1"))).toBe("1");
    }
  });

  it("is good where a broker died after the server had it and before its file had", async () => {
    const before = await readFile(bench.passwordFile, "utf8");
    await rotate();
    const after = await readFile(bench.passwordFile, "utf8");
    await writeFile(`${bench.passwordFile}.next`, after, { mode: 0o600 });
    await writeFile(bench.passwordFile, before, { mode: 0o600 });
    expect(await done((await hold(bench, read)).sql("SELECT 1"))).toBe("1");
    await rotate();
    expect(await readFile(bench.passwordFile, "utf8")).not.toBe(after);
    expect(await done((await hold(bench, read)).sql("SELECT 1"))).toBe("1");
  });

  it("cannot be rotated where there is none", async () => {
    const files = { certificate: "/etc/mayfly/db.pem", key: "/etc/mayfly/db.key" };
    expect((await bench.configure({ allow_plaintext: false, login: { user: "mayfly", ...files } })).rotation).toBeUndefined();
    expect(bench.provider.rotation?.names).toEqual(["login"]);
  });

  async function rotate(): Promise<void> {
    const signal = new AbortController().signal;
    await bench.provider.rotation?.rotate("login", { proof: bench.authority.proofs.end("x"), signal });
  }
});

describe("a login by certificate, over TLS", () => {
  it.each(["broker", "host"] as const)("lets the broker in as: %s", async (as) => {
    const { key, cert } = await serverIdentity();
    await using postgres = await startPostgres({ tls: { key, cert } });
    const folder = await mkdtemp(join(tmpdir(), "mayfly-postgres-tls-"));
    const data = await done(postgres.sql("SHOW data_directory"));
    await writeFile(join(data, "clients.pem"), bench.authority.publicKeys().authority);
    await writeFile(
      join(data, "pg_hba.conf"),
      "hostssl all mayfly 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 scram-sha-256\n",
    );
    await done(postgres.sql("CREATE ROLE mayfly LOGIN CREATEROLE"));
    await done(postgres.sql("CREATE ROLE shop_read"));
    await done(postgres.sql("GRANT shop_read TO mayfly WITH ADMIN OPTION"));
    await done(postgres.sql("GRANT pg_signal_backend TO mayfly"));
    await done(postgres.sql("ALTER SYSTEM SET ssl_ca_file = 'clients.pem'"));
    await done(postgres.sql("SELECT pg_reload_conf()"));
    await writeFile(join(folder, "server.pem"), cert);
    const login = as === "broker" ? { user: "mayfly" } : { user: "mayfly", ...(await ownCertificate(folder)) };
    const provider = await entry({ port: postgres.port, ca: join(folder, "server.pem"), login }, as);
    const held = await hold(bench, read, provider);
    expect(await done(postgres.sql("SELECT current_user", { user: held.user, password: held.password }))).toBe("shop_read");
    await held.end();
    expect((await postgres.sql("SELECT 1", { user: held.user, password: held.password })).code).not.toBe(0);
    const distrusted = await entry({ port: postgres.port, login }, as);
    expect(await caught(hold(bench, read, distrusted))).toMatchObject({
      code: "provider-unavailable",
      hint: expect.stringContaining("`ca`"),
    });
    await rm(folder, { recursive: true });
  });

  async function ownCertificate(folder: string): Promise<object> {
    const made = await bench.authority.issueCertificate({
      serial: "02",
      commonName: "mayfly",
      uri: "x:y",
      notAfter: Date.now() + 60_000,
    });
    const [certificate, key] = [join(folder, "own.pem"), join(folder, "own.key")];
    await writeFile(certificate, made.certificate);
    await writeFile(key, made.privateKey.use(String), { mode: 0o600 });
    return { certificate, key };
  }
});

describe("an entry of mayfly.yaml", () => {
  const file = { user: "mayfly", password_file: "/etc/mayfly/db.password" };
  it.each([
    ["a password", { login: file }, "host"],
    ["no TLS on loopback, when it is said", { host: "127.0.0.1", allow_plaintext: true, login: file }, "host"],
    ["a certificate that the broker makes", { login: { user: "mayfly" } }, "broker"],
  ] as const)("loads with %s", async (_, config, as) => {
    await expect(entry(config, as)).resolves.toMatchObject({ as });
  });

  it.each([
    ["no TLS to another host", { host: "db.example.com", allow_plaintext: true, login: file }, "host", "loopback only"],
    ["nothing to show as: host", { login: { user: "mayfly" } }, "host", "needs a password_file"],
    ["a password as: broker", { login: file }, "broker", "names a user alone"],
    [
      "a certificate without TLS",
      { allow_plaintext: true, login: { user: "m", certificate: "/a", key: "/b" } },
      "host",
      "shown by TLS",
    ],
    ["a certificate without its key", { login: { user: "m", certificate: "/a" } }, "host", "comes with its key"],
    ["a password of its own", { login: { user: "m", password: "x" } }, "host", "Unrecognized key"],
    ["no roles", { login: file, roles: [] }, "host", "roles"],
  ] as const)("does not load with %s", async (_, config, as, message) => {
    await expect(entry(config, as)).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.stringContaining(message),
    });
  });

  it.each([
    ["a role that mayfly.yaml does not list", { roles: ["shop_unknown"] }, "does not list"],
    ["no role", { roles: [] }, "roles"],
    ["a role twice", { roles: ["shop_read", "shop_read"] }, "each role once"],
    ["a role that is a claim's", { roles: ["{environment}"] }, "does not list"],
    ["more sessions than a hundred", { ...read, connections: 101 }, "connections"],
    ["a bare number as a span", { ...read, statement_timeout: 60 }, "statement_timeout"],
  ] as const)("refuses a template with %s", async (_, options, words) => {
    const { error } = (await entry({ login: file }, "host")).options.safeParse(options);
    expect(JSON.stringify(error?.issues)).toContain(words);
  });
});

async function entry(config: object, as: ProofKind): Promise<Provider<unknown>> {
  const whole = { host: "localhost", database: "postgres", roles: ["shop_read"], timeout: "5s", ...config };
  const context = { clock: systemClock, authority: bench?.authority ?? noAuthority, as };
  const type = await catalogue.load("postgres");
  if (type === undefined) throw new Error("the catalogue has no postgres");
  return type.configure(whole, context);
}

async function shifted(clock: typeof systemClock): Promise<Provider<unknown>> {
  const type = await catalogue.load("postgres");
  if (type === undefined) throw new Error("the catalogue has no postgres");
  const login = { user: "mayfly", password_file: bench.passwordFile };
  const config = {
    host: "127.0.0.1",
    port: bench.postgres.port,
    database: "postgres",
    allow_plaintext: true,
    login,
    roles: ["shop_read"],
  };
  return type.configure(config, { clock, authority: bench.authority, as: "host" });
}

const secrets: string[] = [];
afterAll(() => Promise.all(secrets.map((path) => rm(path, { force: true }))));

async function secret(text: string, mode = 0o600): Promise<string> {
  const path = join(tmpdir(), `mayfly-secret-${randomBytes(6).toString("hex")}`);
  secrets.push(path);
  await writeFile(path, text, { mode });
  await chmod(path, mode);
  return path;
}
