import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/**
 * What goes wrong with one request. `black-hole`: nobody ever answers, and it is not passed on. `reset`: the connection breaks and
 * it is not passed on (did not happen). `drop-answer`: it is passed on and done, then the connection breaks (happened, answer
 * lost). `garble`: done, but half of the answer arrives. `delay`: passed on after a while.
 */
export type Fault =
  | { readonly kind: "black-hole" }
  | { readonly kind: "reset" }
  | { readonly kind: "drop-answer" }
  | { readonly kind: "garble" }
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly body: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | { readonly kind: "delay"; readonly milliseconds: number };

export interface Matching {
  readonly method?: string;
  /** A part of the path. */
  readonly path?: string;
}

interface Armed {
  readonly fault: Fault;
  readonly matching: Matching;
  left: number;
}

/** A real proxy before a real server: what passes is the server's own word, and what fails fails on the wire. */
export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #armed: Armed[] = [];
  #port = 0;
  /** METHOD and path of everything that came. */
  readonly seen: string[] = [];
  readonly #answers: string[] = [];
  /** How many requests a fault has met so far. */
  struck = 0;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => void this.#handle(incoming, outgoing));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  static async start(targetPort: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The next `times` matching requests meet this fault; earlier ones are met first. */
  next(fault: Fault, matching: Matching = {}, times = 1): void {
    this.#armed.push({ fault, matching, left: times });
  }

  /** Every matching request from now on, until `heal`. */
  always(fault: Fault, matching: Matching = {}): void {
    this.next(fault, matching, Number.POSITIVE_INFINITY);
  }

  heal(): void {
    this.#armed = [];
  }

  /** Every token and password that the upstream ever answered with. */
  secrets(): readonly string[] {
    return this.#answers.flatMap((answer) =>
      [
        ...answer.matchAll(
          /"(?:client_token|password|access_?[tT]oken)":"([^"]+)"|"token": ?"([^"]{20,})"|<(?:SecretAccessKey|SessionToken)>([^<]+)</g,
        ),
      ].map((found) => found.slice(1).find((value) => value !== undefined) ?? ""),
    );
  }

  /** Connections are refused, as by a host that is up without the service. */
  async refuse(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Takes connections (again), on the same port. */
  async accept(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.seen.push(`${incoming.method} ${incoming.url}`);
    const fault = this.#strike(incoming);
    if (fault?.kind === "black-hole") return;
    if (fault?.kind === "reset") return void incoming.socket.resetAndDestroy();
    if (fault?.kind === "answer") return void outgoing.writeHead(fault.status, fault.headers ?? {}).end(fault.body);
    if (fault?.kind === "delay") await new Promise((resolve) => setTimeout(resolve, fault.milliseconds));
    this.#forward(incoming, outgoing, fault);
  }

  #strike({ method, url }: IncomingMessage): Fault | undefined {
    const armed = this.#armed.find(
      ({ matching, left }) => left > 0 && (matching.method ?? method) === method && (url ?? "").includes(matching.path ?? ""),
    );
    if (armed === undefined) return undefined;
    armed.left -= 1;
    this.struck += 1;
    return armed.fault;
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const { method, url, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port: this.#target, method, path: url, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => {
        const body = Buffer.concat(chunks);
        this.#answers.push(body.toString("utf8"));
        if (fault?.kind === "drop-answer") return incoming.socket.resetAndDestroy();
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        if (fault?.kind !== "garble") return outgoing.end(body);
        return outgoing.write(body.subarray(0, body.length / 2), () => incoming.socket.resetAndDestroy());
      });
    });
    onward.on("error", () => incoming.socket.resetAndDestroy());
    incoming.pipe(onward);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
