import { PassThrough, Readable, Writable } from "node:stream";
import { catalogue } from "../../providers/catalogue.ts";
import type { Io, Output } from "../../src/commands/io.ts";
import { runProgram } from "../../src/commands/program.ts";
import { type Instant, systemClock } from "../../src/time.ts";

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number;
}

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  readonly cwd?: string;
  readonly terminal?: boolean;
  /** What the clock on the wall says; else what it really says. */
  readonly now?: Instant;
}

interface Shell {
  readonly io: Io;
  readonly stdout: Collector;
  readonly stderr: Collector;
  exit(): number;
}

/** Runs one command line in this process, as `main.ts` would in its own. */
export async function mayfly(args: readonly string[], around: Surroundings = {}): Promise<Ran> {
  const { io, stdout, stderr, exit } = aShell(around);
  await runProgram(io, args, { version: "0.1.0", types: () => Promise.resolve(catalogue), processes: {} });
  return { stdout: stdout.text(), stderr: stderr.text(), exit: exit() };
}

export function aShell(around: Surroundings = {}): Shell {
  const stdout = collector(around.terminal === true);
  const stderr = collector(around.terminal === true);
  let exit = 0;
  const io: Io = {
    env: around.env ?? {},
    stdin: around.stdin === undefined ? new PassThrough() : Readable.from([Buffer.from(around.stdin)]),
    stdout: stdout.output,
    stderr: stderr.output,
    cwd: around.cwd ?? process.cwd(),
    uid: process.getuid?.() ?? -1,
    clock: around.now === undefined ? systemClock : { ...systemClock, now: () => around.now ?? 0 },
    onSignal: () => undefined,
    exit: (code) => {
      exit = code;
    },
  };
  return { io, stdout, stderr, exit: () => exit };
}

interface Collector {
  readonly output: Output;
  text(): string;
}

function collector(isTTY: boolean): Collector {
  const chunks: Buffer[] = [];
  const output = new Writable({
    write: (chunk: Buffer, _, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { output: Object.assign(output, { isTTY }), text: () => Buffer.concat(chunks).toString() };
}
