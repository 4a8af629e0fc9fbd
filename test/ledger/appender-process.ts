import { type ChildProcess, fork } from "node:child_process";
import type { KeyObject } from "node:crypto";
import { once } from "node:events";

/** `appender.ts` in a process of its own, to be killed. */
export function startAppender(path: string, key: KeyObject): ChildProcess {
  const pem = String(key.export({ format: "pem", type: "pkcs8" }));
  return fork(new URL("appender.ts", import.meta.url), [path, pem], { execArgv: [], silent: true });
}

/** Once it has told of its first write. */
export async function firstOutput({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new Error("the appender has no output");
  await once(stdout, "data");
}
