import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { users } from "../../flow/world.ts";
import type { Flooded, Order, Outcome, Timed } from "./runner.ts";

type Answer<O extends Order> = O["kind"] extends "steady"
  ? readonly Timed[]
  : O["kind"] extends "flood"
    ? Flooded
    : readonly Outcome[];

/** A process that calls brokers as a user of its own (`runner.ts`); it obeys one order at a time. */
export class Runner implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  constructor(uid: number) {
    this.#child = spawn(process.execPath, [new URL("runner.ts", import.meta.url).pathname, String(uid), String(users.group)], {
      env: { PATH: "/usr/bin:/bin" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const { stdout } = this.#child;
    if (stdout === null) throw new Error("a runner without its output");
    this.#answers = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async obey<O extends Order>(order: O): Promise<Answer<O>> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("the runner's process ended");
    return JSON.parse(String(value)) as Answer<O>;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once("exit", resolve));
  }
}
