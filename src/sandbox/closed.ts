import process from "node:process";
import { lowerLimit, makeUndumpable, resource } from "./kernel.ts";

/**
 * Neither a core file, a debugger nor the inspector that SIGUSR1 opens shows what this process holds. A change of user and an exec
 * both undo it (prctl(2), PR_SET_DUMPABLE), so it is called after them.
 */
export function closeThisProcess(): void {
  makeUndumpable();
  lowerLimit(resource.core, 1n);
  process.on("SIGUSR1", () => undefined);
}
