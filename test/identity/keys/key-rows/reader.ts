import { readFileSync, writeFileSync } from "node:fs";
import { readRegularFile } from "../../../../src/identity/keys/file.ts";
import { noHistory } from "../../../../src/identity/keys/key-history.ts";
import { issuerFetch } from "../../../../src/identity/keys/network.ts";
import { createVerifier } from "../../../../src/identity/verify.ts";
import { systemClock } from "../../../../src/time.ts";
import { profileOf } from "./stage.ts";

/*
 * A process that only reads keys, so that its memory says what reading costs: `reader.ts URL`. It reads until it is as large as it gets,
 * says `ready`, and answers each message by reading twice more and telling by how many bytes its peak rose.
 */
const [url = ""] = process.argv.slice(2);
const verifier = createVerifier({
  profiles: [profileOf(url)],
  fetch: issuerFetch,
  readFile: readRegularFile,
  clock: systemClock,
  history: noHistory,
});
for (let round = 0; round < 10; round += 1) await verifier.readAnew(undefined);

process.on("message", () => {
  void measured().then((told) => process.send?.(told));
});
process.send?.("ready");

async function measured(): Promise<object> {
  // proc_pid_clear_refs(5): 5 resets the peak to what is resident now.
  writeFileSync("/proc/self/clear_refs", "5");
  const before = kibibytes("VmRSS");
  await verifier.readAnew(undefined);
  const [readiness] = await verifier.readAnew(undefined);
  return {
    grewBy: (kibibytes("VmHWM") - before) * 1024,
    keys: readiness?.keys,
    kids: readiness?.kids,
    trouble: readiness?.trouble,
  };
}

function kibibytes(name: string): number {
  return Number(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}
