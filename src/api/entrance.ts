import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "../time.ts";
import { type Allowed, isAllowed } from "./access.ts";
import { Connection, type SocketName } from "./connection.ts";
import { limits } from "./limits.ts";
import type { DoorLog } from "./log.ts";
import { credentialsOf, groupsOf, peerOf } from "./peer.ts";
import { type Group, listenOn } from "./socket-file.ts";
import type { Tarpit } from "./tarpit.ts";

/** What takes a connection over once its protocol is known. */
export interface Protocols {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/** RFC 9113 section 3.4: every HTTP/2 connection begins with these bytes, and no HTTP/1 method does. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
const telling = 4;

interface EntranceParts {
  readonly door: SocketName;
  readonly allow: Allowed | undefined;
  readonly protocols: Protocols;
  readonly clock: Clock;
  readonly log: DoorLog;
  readonly tarpit: Tarpit;
}

/** The entrance of one socket: counts who comes in, asks the kernel who it is, and tells the two protocols apart. */
export class Entrance {
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #parts: EntranceParts;
  #place: AsyncDisposable | undefined;

  constructor(parts: EntranceParts) {
    this.#parts = parts;
    this.#server = createServer({ allowHalfOpen: true, noDelay: false }, (socket) => this.#enter(socket));
    this.#server.maxConnections = limits.connections;
  }

  get door(): SocketName {
    return this.#parts.door;
  }

  /** Rejects with `socket-in-use`, `environment-unfit` or `config-invalid`. */
  async open(path: string, group: Group): Promise<void> {
    this.#place = await listenOn(this.#server, path, group);
  }

  /** Takes nobody in any more and gives up its path; connections on which a call is going on may finish it. */
  async leave(): Promise<void> {
    this.#server.close();
    await this.#place?.[Symbol.asyncDispose]();
    for (const connection of this.#connections) if (connection.calls === 0) connection.close();
  }

  closeAll(): void {
    for (const connection of this.#connections) connection.close();
  }

  #enter(socket: Socket): void {
    const { door, allow, protocols, clock, log, tarpit } = this.#parts;
    socket.on("error", () => socket.destroy());
    try {
      if (tarpit.keepsOut(credentialsOf(socket).pid)) return void socket.destroy();
      const peer = peerOf(socket);
      const allowed = isAllowed(allow, peer, () => groupsOf(socket));
      const connection = new Connection(socket, { door, peer, allowed, clock });
      if (!this.#count(connection, socket)) return;
      detect(socket, protocols);
    } catch (error) {
      log.error({ err: error, door }, "a connection was refused: its peer is unknown");
      socket.destroy();
    }
  }

  #count(connection: Connection, socket: Socket): boolean {
    const { uid } = connection.peer;
    const others = [...this.#connections].filter((other) => other.peer.uid === uid);
    // One of them that does nothing makes room: a neighbour that holds many and uses none keeps nobody out.
    if (others.length >= limits.connectionsPerUser) others.find(({ calls }) => calls === 0)?.close();
    if (others.filter(({ closed }) => !closed).length >= limits.connectionsPerUser) {
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
