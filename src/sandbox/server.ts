import { chmodSync, chownSync, rmSync } from "node:fs";
import { createServer, type Http2Server } from "node:http2";
import { connect, type Socket } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { BrokerError } from "../errors.ts";
import { deferred } from "./deferred.ts";
import type { Host } from "./host.ts";
import { peerOf } from "./kernel.ts";
import type { Finding } from "./sandbox.ts";
import { sandboxRoutes } from "./service.ts";

export interface Listening {
  readonly host: Host;
  readonly findings: () => readonly Finding[];
  readonly socket: string;
  /** The only user, besides root, that may speak to us. */
  readonly serveUid: number;
}

/** Listens for `serve`; what is returned stops that, and with each connection its sandbox. */
export async function listenForServe({ host, findings, socket, serveUid }: Listening): Promise<{ close(): Promise<void> }> {
  await replaceDead(socket);
  const connections = new Set<Socket>();
  const server = createServer(
    {},
    connectNodeAdapter({ routes: sandboxRoutes(host, findings), acceptCompression: [], readMaxBytes: 2 ** 22 }),
  );
  server.prependListener("connection", (connection: Socket) => admit(connection, serveUid, connections));
  await listen(server, socket);
  chmodSync(socket, 0o600);
  chownSync(socket, serveUid, 0);
  return { close: () => closeAll(server, connections, host) };
}

/** The socket's own mode says the same; the kernel's word on the peer holds even where somebody changed that. */
function admit(connection: Socket, serveUid: number, connections: Set<Socket>): void {
  const { uid } = peerOf(connection);
  if (uid !== serveUid && uid !== 0) {
    connection.destroy();
    return;
  }
  connections.add(connection);
  connection.on("close", () => connections.delete(connection));
}

/** A socket on which somebody answers is not ours to take. */
async function replaceDead(socket: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const attempt = connect(socket);
    attempt.on("connect", () => resolve(true)).on("error", () => resolve(false));
    attempt.on("connect", () => attempt.destroy());
  });
  if (alive) throw new BrokerError("socket-in-use", "another sandboxd already listens on this socket");
  rmSync(socket, { force: true });
}

async function listen(server: Http2Server, socket: string): Promise<void> {
  const { promise, resolve, reject } = deferred<void>();
  server.once("error", reject);
  server.listen(socket, resolve);
  await promise;
}

/** Resolves once every sandbox is gone, or after two seconds: what is left then dies with our namespaces. */
async function closeAll(server: Http2Server, connections: ReadonlySet<Socket>, { slots, clock }: Host): Promise<void> {
  server.close();
  for (const connection of connections) connection.destroy();
  const deadline = clock.monotonic() + 2_000;
  while (slots.running > 0 && clock.monotonic() < deadline) await clock.sleep(5);
}
