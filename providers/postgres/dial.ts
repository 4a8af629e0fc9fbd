import { Socket } from "node:net";
import { Client, type ClientConfig, Connection } from "pg";
import type { Duration } from "../../src/time.ts";
import type { Identity } from "./identity.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly identity: Identity;
  readonly timeout: Duration;
}

export interface Call {
  readonly client: Client;
  /** At once, whatever the client waits for. */
  hangUp(): void;
  /** Why nothing that the other end says may be believed. */
  flaw(): string | undefined;
}

/** The first one matters most: whoever may make objects in some schema must not choose what our own statements mean. */
function serverSettings(timeout: Duration): string {
  return [
    "search_path=pg_catalog",
    "default_transaction_read_only=off",
    `statement_timeout=${timeout}`,
    `lock_timeout=${timeout}`,
    `idle_in_transaction_session_timeout=${timeout}`,
  ]
    .map((setting) => `-c ${setting}`)
    .join(" ");
}

/** Every setting is given here: pg would look for what is missing in the environment and in the user's files. */
export function dial({ host, port, database, identity, timeout }: Address): Call {
  const { user, password, tls } = identity;
  const ssl = tls === undefined ? false : { ...tls, rejectUnauthorized: true, minVersion: "TLSv1.2" as const };
  const socket = new Socket();
  const connection = new Connection({ stream: () => socket, ssl, keepAlive: true });
  const proof = tls === undefined ? insistOnScram(connection) : { flaw: () => undefined };
  const config: ClientConfig & { readonly connection: Connection } = {
    host,
    port,
    database,
    user,
    password: () => {
      if (password === undefined) throw new Error("the server asks for a password, and the login is by certificate");
      return password.use((bytes) => bytes.toString("utf8"));
    },
    ssl,
    sslnegotiation: "postgres",
    application_name: "mayfly",
    client_encoding: "UTF8",
    options: serverSettings(timeout),
    connectionTimeoutMillis: timeout,
    connection,
  };
  const client = new Client(config);
  // Each query hears of it too; unheard, it would end the process.
  client.on("error", () => undefined);
  return { client, hangUp: () => void socket.destroy(), ...proof };
}

/**
 * Without TLS, any user of this host can listen on the port while PostgreSQL is down. SCRAM shows them no password, and shows us that the
 * other end knows it (RFC 5802 section 3); every other way in is refused before anything is sent.
 */
function insistOnScram(connection: Connection): Pick<Call, "flaw"> {
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
  return { flaw: () => (refused ? "the server does not prove that it knows the password" : undefined) };
}
