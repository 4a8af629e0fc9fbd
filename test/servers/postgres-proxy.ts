import { connect, createServer, type Server, type Socket } from "node:net";
import type { Faults } from "../conformance/provider.ts";
import type { Fault, Matching } from "./fault-proxy.ts";

interface Armed {
  readonly fault: Fault;
  readonly matching: Matching;
  left: number;
}

/**
 * `FaultProxy` for PostgreSQL's own protocol. What can be matched is the start of a connection (method `startup`), a statement sent alone
 * (`Q`) or to be given parameters (`P`), by a part of its text. A fault that is an HTTP status becomes what PostgreSQL says in that case.
 */
export class PostgresProxy implements Faults, AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #armed: Armed[] = [];
  #port = 0;
  #misheard: readonly [string, string] | undefined;
  struck = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#relay(client));
  }

  static async start(targetPort: number): Promise<PostgresProxy> {
    const proxy = new PostgresProxy(targetPort);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  next(fault: Fault, matching: Matching = {}, times = 1): void {
    this.#armed.push({ fault, matching, left: times });
  }

  always(fault: Fault, matching: Matching = {}): void {
    this.next(fault, matching, Number.POSITIVE_INFINITY);
  }

  heal(): void {
    this.#armed = [];
  }

  /** The next statement that holds this reaches the server as if it held that, of the same length. */
  mishear(said: string, heard: string): void {
    if (said.length !== heard.length) throw new Error("a message's length is in it");
    this.#misheard = [said, heard];
  }

  #heard(message: Message): Message {
    const [said, heard] = this.#misheard ?? ["", ""];
    if (said === "" || message.type !== "Q" || !message.text.includes(said)) return message;
    this.#misheard = undefined;
    return { ...message, bytes: Buffer.from(message.bytes.toString("latin1").replace(said, heard), "latin1") };
  }

  /** The server never tells a password. */
  secrets(): readonly string[] {
    return [];
  }

  async refuse(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async accept(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (typeof address === "object" && address !== null) this.#port = address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
  }

  #strike({ type, text }: Message): Fault | undefined {
    const armed = this.#armed.find(
      ({ matching: { method, path }, left }) => left > 0 && (method ?? type) === type && text.includes(path ?? ""),
    );
    if (armed === undefined) return undefined;
    armed.left -= 1;
    this.struck += 1;
    return armed.fault;
  }

  #relay(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    this.#keep(client);
    this.#keep(server);
    client.once("close", () => server.destroy());
    server.once("close", () => client.end());
    const messages = new Messages();
    const line: Line = { client, server, answers: (bytes) => void client.write(bytes) };
    server.on("data", (bytes: Buffer) => line.answers(bytes));
    let turn = Promise.resolve();
    client.on("data", (bytes: Buffer) => {
      for (const message of messages.read(bytes))
        turn = turn.then(() => strike(line, this.#heard(message), this.#strike(message)));
    });
  }
}

/** One connection; `answers` takes what the server says. */
interface Line {
  readonly client: Socket;
  readonly server: Socket;
  answers: (bytes: Buffer) => void;
}

async function strike(line: Line, { bytes }: Message, fault: Fault | undefined): Promise<void> {
  const { client, server } = line;
  switch (fault?.kind) {
    case "black-hole":
      return new Promise(() => undefined);
    case "reset":
      return void client.resetAndDestroy();
    case "answer":
      return void client.end(answerOf(fault.status, fault.body));
    case "drop-answer":
    case "garble":
      holdAnswer(line, fault.kind === "garble");
      break;
    case "delay":
      await new Promise((resolve) => setTimeout(resolve, fault.milliseconds));
      break;
    case undefined:
  }
  server.write(bytes);
}

/** Until the server is ready for the next one; half of it is then let through, or nothing. */
function holdAnswer(line: Line, half: boolean): void {
  const held: Buffer[] = [];
  const ready = Buffer.from([0x5a, 0, 0, 0, 5]);
  line.answers = (bytes) => {
    held.push(bytes);
    const whole = Buffer.concat(held);
    if (!whole.subarray(-6, -1).equals(ready)) return;
    if (half) line.client.write(whole.subarray(0, whole.length / 2), () => line.client.resetAndDestroy());
    else line.client.resetAndDestroy();
  };
}

/** What PostgreSQL says (appendix A of its manual) where HTTP has a status. */
const states: Readonly<Record<number, string>> = { 307: "57P03", 403: "28000", 429: "53300", 500: "XX000", 503: "57P03" };

function answerOf(status: number, body: string): Buffer {
  const state = states[status];
  if (state === undefined) return Buffer.from(body);
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${state}\0Msaid the proxy\0\0`);
  const head = Buffer.from([0x45, 0, 0, 0, 0]);
  head.writeUInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

interface Message {
  readonly type: string;
  readonly text: string;
  readonly bytes: Buffer;
}

/** Cuts what a client sends into its messages; the first has no type. */
class Messages {
  #rest = Buffer.alloc(0);
  #started = false;

  *read(bytes: Buffer): Generator<Message> {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let message = this.#next(); message !== undefined; message = this.#next()) yield message;
  }

  #next(): Message | undefined {
    const head = this.#started ? 1 : 0;
    if (this.#rest.length < head + 4) return undefined;
    const length = head + this.#rest.readUInt32BE(head);
    if (this.#rest.length < length) return undefined;
    const bytes = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    const type = this.#started ? String.fromCharCode(bytes[0] ?? 0) : "startup";
    this.#started = true;
    return { type, text: bytes.subarray(head + 4).toString("latin1"), bytes };
  }
}
