import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import { Client, type ClientConfig, Connection } from "pg";
import type { BrokerError } from "../../errors.ts";
import { readPrivate } from "../../key-file.ts";
import { Secret } from "../../secret.ts";
import type { Duration } from "../../time.ts";
import { isSocket, needsTls, type PostgresConfig } from "./config.ts";
import { unfit } from "./failure.ts";

/** Where the store is and how to get in, with everything read that had to be read from files. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: Secret | undefined;
  readonly tls: { readonly ca: string | undefined } | undefined;
}

/** Throws `config-invalid` for a password file that is missing, or that others can read. */
export async function readAddress(config: PostgresConfig): Promise<Address> {
  const { host, port, database, user, password_file, ca } = config;
  return {
    host,
    port,
    database,
    user,
    password: password_file === undefined ? undefined : await readPassword(password_file),
    tls: needsTls(config) ? { ca: ca === undefined ? undefined : await readCa(ca) } : undefined,
  };
}

async function readPassword(path: string): Promise<Secret> {
  const text = (await readPrivate(path))?.replace(/\r?\n$/, "");
  if (text === undefined || text === "") throw unfit("the shared store's password file is missing or empty", `check ${path}`);
  return Secret.of(text);
}

async function readCa(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw unfit("the shared store's certificate authority cannot be read", `check ${path}`, cause);
  }
}

/** The server gives up on a statement when we do, and on a connection whose other end is gone soon enough for a restarted broker. */
const serverSettings = [
  "search_path=pg_catalog",
  "default_transaction_read_only=off",
  "default_transaction_isolation=read\\ committed",
  "statement_timeout=2000",
  "lock_timeout=2000",
  "idle_in_transaction_session_timeout=5000",
  "tcp_keepalives_idle=5",
  "tcp_keepalives_interval=5",
  "tcp_keepalives_count=2",
  "tcp_user_timeout=10000",
].map((setting) => `-c ${setting}`);

export interface Call {
  readonly client: Client;
  /** Why nothing of what the other end says may be believed. */
  flaw(): BrokerError | undefined;
  /** At once, whatever the client waits for. */
  hangUp(): void;
}

/** Every setting is given here, since pg would look for what is missing in the environment and in the user's files. */
export function dial(address: Address, name: string, patience: Duration): Call {
  const { host, port, database, user, password, tls } = address;
  const ssl = tls === undefined ? false : { minVersion: "TLSv1.2" as const, ...(tls.ca === undefined ? {} : { ca: tls.ca }) };
  const socket = new Socket();
  const connection = new Connection({ stream: () => socket, ssl, keepAlive: true, keepAliveInitialDelayMillis: 5_000 });
  const flaw = tls === undefined && !isSocket(host) ? insistOnScram(connection) : () => undefined;
  const config: ClientConfig & { readonly connection: Connection } = {
    host,
    port,
    database,
    user,
    password: () => reveal(password),
    ssl,
    sslnegotiation: "postgres",
    application_name: `mayfly ${name}`,
    client_encoding: "UTF8",
    options: serverSettings.join(" "),
    connectionTimeoutMillis: patience,
    connection,
  };
  return { client: new Client(config), flaw, hangUp: () => void socket.destroy() };
}

function reveal(password: Secret | undefined): string {
  if (password === undefined)
    throw unfit("the shared store asks for a password", "write `password_file` under `shared.postgres` in mayfly.yaml");
  return password.use((bytes) => bytes.toString("utf8"));
}

/**
 * Any user of this host can listen on the port while PostgreSQL is down. SCRAM shows them no password, and shows us that the other end knows
 * it (RFC 5802 section 3); every other way in is refused before anything is sent.
 */
function insistOnScram(connection: Connection): () => BrokerError | undefined {
  let [proven, refused] = [false, false];
  const refuse = (): void => {
    refused = true;
    connection.stream.destroy();
  };
  connection.once("authenticationSASLFinal", () => {
    proven = true;
  });
  connection.once("authenticationCleartextPassword", refuse);
  connection.once("authenticationMD5Password", refuse);
  connection.once("authenticationOk", () => {
    if (!proven) refuse();
  });
  return () => (refused ? unproven() : undefined);
}

function unproven(): BrokerError {
  return unfit(
    "the shared store does not prove that it knows the password",
    "use TLS, or scram-sha-256 both in pg_hba.conf and for the role's password",
  );
}
