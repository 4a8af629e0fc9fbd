import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** A cable between a client and a real server, which can be held still or cut. */
export class Wire implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  #port = 0;
  #still = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#join(near));
  }

  static async lay(targetPort: number): Promise<Wire> {
    const wire = new Wire(targetPort);
    await wire.mend();
    return wire;
  }

  get port(): number {
    return this.#port;
  }

  /** Nothing passes any more, in either direction; connections stay, and new ones are taken and lead nowhere. */
  hold(): void {
    this.#still = true;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.pause();
  }

  /** What was held back passes now. */
  letGo(): void {
    this.#still = false;
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.resume();
  }

  /** Every connection breaks, and new ones are refused. */
  async cut(): Promise<void> {
    for (const { near, far } of this.#pairs) for (const socket of [near, far]) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Takes connections (again), on the same port. */
  async mend(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #join(near: Socket): void {
    const far = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => to.write(chunk));
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      if (this.#still) from.pause();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
  }
}
