import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { users } from "../../flow/world.ts";
import { cgroupTrees, HostCgroup } from "../../host-cgroup.ts";
import type { Flooded, Order, Outcome, Timed } from "./runner.ts";

type Answer<O extends Order> = O["kind"] extends "steady"
  ? readonly Timed[]
  : O["kind"] extends "flood"
    ? Flooded
    : readonly Outcome[];

let count = 0;

/** A control group of its own, where this host lets us make one: by it, a broker tells runners of one user apart. */
function ownGroup(): HostCgroup | undefined {
  const [tree] = cgroupTrees;
  count += 1;
  return tree === undefined ? undefined : new HostCgroup(tree, `prove-runner-${count}`);
}

/** A process that calls brokers as a user of its own (`runner.ts`); it obeys one order at a time. */
export class Runner implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #group = ownGroup();

  constructor(uid: number) {
    const script = new URL("runner.ts", import.meta.url).pathname;
    const command = [process.execPath, script, String(uid), String(users.group)] as const;
    const [program, ...args] = this.#group?.holding(command) ?? command;
    this.#child = spawn(program, args, {
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
    await this.#group?.[Symbol.asyncDispose]();
  }
}
