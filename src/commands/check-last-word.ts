import { existsSync } from "node:fs";
import type { Config } from "../config.ts";
import { fileProblem } from "../policy/language/document.ts";
import type { Problem } from "../policy/problem.ts";
import type { Io } from "./io.ts";
import { say } from "./output.ts";

/**
 * What keeps the bundle from loading that mayfly.yaml names. Where nothing is at its path, as on the machine that checks a checkout, that is
 * only said: `mayfly doctor` looks on the broker's own host. A server is asked nothing. Throws `config-invalid`.
 */
export async function lastWordProblems(io: Io, config: Config): Promise<readonly Problem[]> {
  if (config.last_word === undefined) return [];
  const { lastWordFlaw, lastWordSource } = await import("../last-word.ts");
  const source = lastWordSource(config, [0, io.uid], io.clock);
  if (source?.path === undefined) return [];
  if (!existsSync(source.path)) {
    say(io, `mayfly: the site's last word was not looked at: there is no ${source.path} on this machine`);
    return [];
  }
  const flaw = await lastWordFlaw(source);
  return flaw === undefined ? [] : [fileProblem(source.path, flaw)];
}
