import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../time.ts";
import { Connection, type SocketName } from "./connection.ts";
import { limits } from "./limits.ts";
import type { DoorLog } from "./log.ts";
import { peerOf } from "./peer.ts";

/** What takes a connection over once its protocol is known. */
export interface Protocols {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/** RFC 9113 section 3.4: every HTTP/2 connection begins with these bytes, and no HTTP/1 method does. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const telling = 4;

/** The entrance of one socket: counts who comes in, asks the kernel who it is, and tells the two protocols apart. */
export class Entrance {
  readonly server: Server;
  readonly #connections = new Set<Connection>();
  readonly #parts: { readonly door: SocketName; readonly protocols: Protocols; readonly clock: Clock; readonly log: DoorLog };

  constructor(parts: {
    readonly door: SocketName;
    readonly protocols: Protocols;
    readonly clock: Clock;
    readonly log: DoorLog;
  }) {
    this.#parts = parts;
    this.server = createServer({ allowHalfOpen: true, noDelay: false }, (socket) => this.#enter(socket));
    this.server.maxConnections = limits.connections;
  }

  /** Closes every connection on which no call is going on; the others may finish. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.calls === 0) connection.close();
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.close();
  }

  #enter(socket: Socket): void {
    const { door, protocols, clock, log } = this.#parts;
    socket.on("error", () => socket.destroy());
    try {
      const connection = new Connection(socket, { door, peer: peerOf(socket), clock });
      if (!this.#count(connection, socket)) return;
      detect(socket, protocols);
    } catch (error) {
      log.error({ err: error, door }, "a connection was refused: its peer is unknown");
      socket.destroy();
    }
  }

  #count(connection: Connection, socket: Socket): boolean {
    const { uid } = connection.peer;
    const others = [...this.#connections].filter((other) => other.peer.uid === uid).length;
    if (others >= limits.connectionsPerUser) {
      this.#parts.log.warn({ door: connection.door, uid }, "a connection was refused: this user holds as many as one may");
      socket.destroy();
      return false;
    }
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
    return true;
  }
}

/** Reads no more than it takes to tell, and puts it back. */
function detect(socket: Socket, protocols: Protocols): void {
  const seen: Buffer[] = [];
  const gone = (): void => void socket.destroy();
  const look = (chunk: Buffer): void => {
    seen.push(chunk);
    const start = Buffer.concat(seen);
    const length = Math.min(start.length, telling);
    const matches = start.subarray(0, length).equals(preface.subarray(0, length));
    if (matches && length < telling) return;
    socket.off("data", look).off("end", gone).pause();
    socket.unshift(start);
    if (matches) protocols.http2(socket);
    else protocols.http1(socket);
  };
  socket.on("data", look).once("end", gone);
}
