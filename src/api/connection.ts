import type { Socket } from "node:net";
import type { Peer } from "../contract.ts";
import type { Clock } from "../time.ts";
import { limits } from "./limits.ts";

/** The three doors; each offers one service, and the others' calls are refused there. */
export type SocketName = "broker" | "audit" | "control";

const mark = Symbol("connection");

declare module "node:net" {
  interface Socket {
    /** Survives the stand-in that Node puts in front of a socket under HTTP/2, so both protocols find it. */
    [mark]?: Connection;
  }
}

/** One client's connection: through which socket it came, who the kernel says it is, and whether it is idle for too long. */
export class Connection {
  readonly door: SocketName;
  readonly peer: Peer;
  /** Whether this socket is for this user; if not, its calls are told so. */
  readonly allowed: boolean;
  readonly #socket: Socket;
  readonly #clock: Clock;
  #calls = 0;
  #idle: AbortController | undefined;

  constructor(socket: Socket, parts: Pick<Connection, "door" | "peer" | "allowed"> & { readonly clock: Clock }) {
    this.door = parts.door;
    this.peer = parts.peer;
    this.allowed = parts.allowed;
    this.#clock = parts.clock;
    this.#socket = socket;
    socket[mark] = this;
    socket.once("close", () => this.#idle?.abort());
    this.#expectCall();
  }

  static of(socket: Socket): Connection {
    const connection = socket[mark];
    if (connection === undefined) throw new Error("a connection that did not come through the door");
    return connection;
  }

  get calls(): number {
    return this.#calls;
  }

  /** From a request's headers to the end of its answer. */
  callBegins(): void {
    this.#calls += 1;
    this.#idle?.abort();
  }

  callEnds(): void {
    this.#calls -= 1;
    if (this.#calls === 0 && !this.#socket.destroyed) this.#expectCall();
  }

  get closed(): boolean {
    return this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Headers that drip in count as idle: a call begins when they are whole. */
  #expectCall(): void {
    this.#idle = new AbortController();
    this.#clock.sleep(limits.idle, this.#idle.signal).then(
      () => this.close(),
      () => undefined,
    );
  }
}
