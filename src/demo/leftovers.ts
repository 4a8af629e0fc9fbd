import { existsSync, readdirSync, readFileSync } from "node:fs";

/** What a demo in this folder left on the host, in words; nothing is looked for by its own account of itself. */
export function leftovers(folder: string): readonly string[] {
  const processes = commandLines().filter((line) => line.includes(folder));
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(folder));
  return [
    ...(processes.length > 0 ? [`${processes.length} processes`] : []),
    ...(mounts.length > 0 ? [`${mounts.length} mounts`] : []),
    ...(existsSync(folder) ? [`the folder ${folder}`] : []),
  ];
}

function commandLines(): readonly string[] {
  const pids = readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
  return pids.map((pid) => read(`/proc/${pid}/cmdline`)).filter((line) => line !== "");
}

/** A process may end between being listed and being read. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
