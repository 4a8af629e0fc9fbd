import process from "node:process";
import { environment } from "../environment.ts";
import { systemClock } from "../time.ts";
import type { Io } from "./io.ts";

/** This process as a command sees it. */
export function processIo(): Io {
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
