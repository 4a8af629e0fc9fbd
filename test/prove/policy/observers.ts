import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { users } from "../../flow/world.ts";
import type { Answer, ObserveOrder } from "./observer.ts";

/** A process that asks as a user of its own (`observer.ts`): one user may observe only so often. It obeys one order at a time. */
export class Observer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(uid: number) {
    const script = new URL("observer.ts", import.meta.url).pathname;
    this.#child = spawn(process.execPath, [script, String(uid), String(users.group)], {
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("an observer without its output");
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async obey(order: ObserveOrder): Promise<readonly Answer[]> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("the observer's process ended");
    return JSON.parse(String(value)) as readonly Answer[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once("exit", resolve));
  }
}
