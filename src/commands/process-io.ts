import process from "node:process";
import { environment } from "../environment.ts";
import { systemClock } from "../time.ts";
import type { Io } from "./io.ts";

/** This process as a command sees it. */
export function processIo(): Io {
  for (const output of [process.stdout, process.stderr]) endUnread(output);
  return {
    env: environment(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    cwd: process.cwd(),
    uid: process.getuid?.() ?? -1,
    clock: systemClock,
    onSignal: (name, listener, until) => {
      process.on(name, listener);
      until.addEventListener("abort", () => process.off(name, listener), { once: true });
    },
    exit: (code) => {
      process.exitCode = code;
    },
  };
}

/** As a shell says it of what SIGPIPE ended (signal 13), which Node ignores. */
const unread = 141;

/** Whoever read our output has gone, as with `| head`: nothing is wrong, and nothing is left to do. A verb that listens itself knows better. */
function endUnread(output: NodeJS.WriteStream): void {
  output.on("error", (error: NodeJS.ErrnoException) => {
    if (output.listenerCount("error") > 1) return;
    if (error.code !== "EPIPE") throw error;
    process.exit(unread);
  });
}
