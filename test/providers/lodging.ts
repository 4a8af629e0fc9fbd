import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Lodging } from "../../src/lease/provider.ts";
import { createLog } from "../../src/log.ts";
import { systemClock } from "../../src/time.ts";

/** Where a plug-in lives in a test: a broker's folder, its log, and its end. */
export interface TestLodging extends AsyncDisposable {
  readonly lodging: Lodging;
  readonly folder: string;
  /** The log's lines, as they would be on disk. */
  readonly lines: string[];
  /** What the plug-ins themselves printed, as logged. */
  said(): readonly string[];
  /** How often a process died, and how. */
  deaths(): readonly { readonly how: string; readonly pause: number }[];
  /** Puts a binary where only we can write it, as an operator would, and gives its path. */
  install(from: string): string;
  end(): void;
}

export function lodge(name = "plug"): TestLodging {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-lodging-"));
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => lines.push(line) }, clock: systemClock });
  const broker = new AbortController();
  const told = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return {
    folder,
    lines,
    lodging: { name, folder: join(folder, "run", name), log, ends: broker.signal },
    said: () => told().flatMap(({ text }) => (typeof text === "string" ? [text] : [])),
    deaths: () => told().flatMap(({ how, pause }) => (typeof how === "string" ? [{ how, pause: Number(pause) }] : [])),
    install: (from) => {
      const path = join(folder, "lib", basename(from));
      mkdirSync(join(folder, "lib"), { recursive: true, mode: 0o755 });
      copyFileSync(from, path);
      chmodSync(path, 0o755);
      return path;
    },
    end: () => broker.abort(),
    [Symbol.asyncDispose]: async () => {
      broker.abort();
      // The folder goes with the process; where nothing was started there is none.
      for (let left = 150; left > 0 && existsSync(join(folder, "run", name)); left -= 1) await systemClock.sleep(20);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
