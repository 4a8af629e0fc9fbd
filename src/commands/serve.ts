import { resolve } from "node:path";
import { Command } from "commander";
import { loadConfig, settings } from "../config.ts";
import { createLog } from "../log.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Io } from "./io.ts";
import { fail } from "./output.ts";

interface ServeFlags {
  readonly config?: string;
}

const examples = `
Examples:
  $ mayfly serve
  $ mayfly serve --config ./mayfly.yaml

Started as root, it starts its own sandboxd and then becomes the user that mayfly.yaml names. SIGTERM drains it. It reads
the templates again when they have changed, and at once on SIGHUP. It logs JSON to stderr.`;

export function serveCommand(
  io: Io,
  about: { readonly catalogue: LoadCatalogue; readonly version: string; readonly program: readonly string[] },
): Command {
  return new Command("serve")
    .summary("run the broker")
    .description("Runs the broker beside the CI runner, until it is told to stop.")
    .option("--config <file>", "mayfly.yaml (default: MAYFLY_CONFIG, else /etc/mayfly/mayfly.yaml)")
    .addHelpText("after", examples)
    .action((flags: ServeFlags) => run(io, about, flags));
}

async function run(io: Io, about: Parameters<typeof serveCommand>[1], flags: ServeFlags): Promise<void> {
  const moved = settings(io.env);
  const configPath = resolve(io.cwd, flags.config ?? moved.config);
  const stop = new AbortController();
  const forever = new AbortController().signal;
  try {
    const config = loadConfig(configPath, moved);
    const log = createLog({ level: config.log, destination: io.stderr, clock: io.clock });
    for (const signal of ["SIGTERM", "SIGINT"] as const) io.onSignal(signal, () => stop.abort(), forever);
    const onReload = (listener: () => void) => io.onSignal("SIGHUP", listener, forever);
    // Loaded here and not above: what the broker is made of would slow down every other verb.
    const [{ serve }, catalogue] = await Promise.all([import("../serve.ts"), about.catalogue()]);
    await serve({ ...about, catalogue, config, configPath, settings: moved, clock: io.clock, log, stop, onReload });
  } catch (error) {
    fail(io, error);
  }
}
