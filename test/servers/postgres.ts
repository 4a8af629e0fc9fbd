import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  stop(): Promise<void>;
}

const debian = "/usr/lib/postgresql";

/** Debian's binaries of the newest version, or undefined. */
export function postgresBinaries(): string | undefined {
  if (!existsSync(debian)) return undefined;
  const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(debian, version, "bin")).find((folder) => existsSync(join(folder, "initdb")));
}

export async function startPostgres(): Promise<Postgres> {
  const binaries = postgresBinaries();
  if (binaries === undefined) throw new Error("PostgreSQL is not installed");
  const folder = await mkdtemp(join(tmpdir(), "mayfly-postgres-"));
  try {
    return await boot(binaries, folder);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function boot(binaries: string, folder: string): Promise<Postgres> {
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
  const port = await freePort();
  const sql = psql(join(binaries, "psql"), port, password);
  const settings = [
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "shared_buffers=16MB",
  ].flatMap((setting) => ["-c", setting]);
  const server = await startProcess({
    command: drop,
    args: [...as, join(binaries, "postgres"), "-D", data, "-p", String(port), ...settings],
    stopSignal: "SIGINT",
    ready: async () => (await sql("select 1")).code === 0,
  });
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
    stop,
    [Symbol.asyncDispose]: stop,
  };
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
