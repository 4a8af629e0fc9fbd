import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, must, type Outcome, run, startProcess } from "./process.ts";

/** A PostgreSQL of its own: data folder, port and superuser are made for it and go with it. */
export interface Postgres extends AsyncDisposable {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly superuser: "postgres";
  readonly password: string;
  readonly database: "postgres";
  /** Runs SQL as the given login (default: the superuser) with the real psql; the caller judges the outcome. */
  sql(statement: string, as?: { readonly user: string; readonly password: string }): Promise<Outcome>;
  /** What it logged so far. */
  log(): string;
  /** The server ends, by its own shutdown or by a kill; its data stays. */
  halt(how: "stopped" | "killed"): Promise<void>;
  /** On the same port, with the same data. */
  resume(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** PEM; the server then also speaks TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

const debian = "/usr/lib/postgresql";

/** Debian's binaries of the newest version, or undefined. */
export function postgresBinaries(): string | undefined {
  if (!existsSync(debian)) return undefined;
  const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(debian, version, "bin")).find((folder) => existsSync(join(folder, "initdb")));
}

export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const binaries = postgresBinaries();
  if (binaries === undefined) throw new Error("PostgreSQL is not installed");
  const folder = await mkdtemp(join(tmpdir(), "mayfly-postgres-"));
  try {
    return await boot(binaries, folder, options);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function boot(binaries: string, folder: string, { tls }: PostgresOptions): Promise<Postgres> {
  const [data, passwordFile, password] = [join(folder, "data"), join(folder, "password"), randomBytes(12).toString("hex")];
  await writeFile(passwordFile, password, { mode: 0o600 });
  const [drop, ...as] = await asPostgres(folder, passwordFile);
  await must(
    drop,
    [
      ...as,
      join(binaries, "initdb"),
      "-D",
      data,
      "-U",
      "postgres",
      "-A",
      "scram-sha-256",
      "--no-sync",
      `--pwfile=${passwordFile}`,
    ],
    { env: { LC_ALL: "C" } },
  );
  await rm(passwordFile);
  if (tls !== undefined) await certify(folder, tls);
  const port = await freePort();
  const sql = psql(join(binaries, "psql"), port, password);
  const settings = [
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "shared_buffers=16MB",
    ...(tls === undefined ? [] : ["ssl=on", `ssl_cert_file=${folder}/cert.pem`, `ssl_key_file=${folder}/key.pem`]),
  ].flatMap((setting) => ["-c", setting]);
  const start = () =>
    startProcess({
      command: drop,
      args: [...as, join(binaries, "postgres"), "-D", data, "-p", String(port), ...settings],
      stopSignal: "SIGINT",
      ready: async () => (await sql("select 1")).code === 0,
    });
  let server = await start();
  const stop = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return {
    host: "127.0.0.1",
    port,
    superuser: "postgres",
    password,
    database: "postgres",
    sql,
    log: () => server.output(),
    halt: async (how) => {
      if (how === "killed") process.kill(server.pid, "SIGKILL");
      await server.stop();
    },
    resume: async () => {
      server = await patiently(start);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** What a killed server's processes share is in use until the last of them has noticed. */
async function patiently<T>(start: () => Promise<T>): Promise<T> {
  for (let left = 20; left > 0; left--) {
    try {
      return await start();
    } catch {
      await sleep(250);
    }
  }
  return start();
}

async function certify(folder: string, { key, cert }: NonNullable<PostgresOptions["tls"]>): Promise<void> {
  const files = [join(folder, "key.pem"), join(folder, "cert.pem")] as const;
  await writeFile(files[0], key, { mode: 0o600 });
  await writeFile(files[1], cert, { mode: 0o644 });
  await asPostgres(...files);
}

function psql(command: string, port: number, superPassword: string): Postgres["sql"] {
  return (statement, as = { user: "postgres", password: superPassword }) =>
    run(
      command,
      [
        "-XAtq",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        "127.0.0.1",
        "-p",
        String(port),
        "-U",
        as.user,
        "-d",
        "postgres",
        "-c",
        statement,
      ],
      {
        env: { PGPASSWORD: as.password, PGCONNECT_TIMEOUT: "5" },
      },
    );
}

/** PostgreSQL refuses to run as root, so root becomes Debian's `postgres` user first. The command's beginning. */
async function asPostgres(...owned: readonly string[]): Promise<readonly [string, ...string[]]> {
  if (process.getuid?.() !== 0) return ["/usr/bin/env"];
  await must("chown", ["postgres:postgres", ...owned]);
  return ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
}
