import type { Config } from "../config.ts";
import { lastWordFlaw, lastWordSource } from "../last-word.ts";
import { accountOf } from "../privileges.ts";
import { bad, good } from "../sandbox/findings.ts";
import type { Finding } from "../sandbox/sandbox.ts";
import type { Clock } from "../time.ts";

const name = "last word";

/** A bundle is loaded as the broker would load it. A server is asked at each run, and need not be there before the first. Throws `config-invalid`. */
export async function lastWordFindings(config: Config, clock: Clock): Promise<readonly Finding[]> {
  if (config.last_word === undefined) return [];
  const source = lastWordSource(config, [0, accountOf(config.user).uid], clock);
  if (source?.path === undefined) return [good(name, "a server, which is asked at each run; it was not asked now")];
  const flaw = await lastWordFlaw(source);
  if (flaw === undefined) return [good(name, `${source.path} loads`)];
  return [
    bad(name, `${source.path}: ${flaw}`, "a broker does not start without it; docs/last-word.md says how a bundle is made"),
  ];
}
