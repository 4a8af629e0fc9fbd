import { readFileSync } from "node:fs";
import process from "node:process";
import { Command, Option } from "commander";
import { parse } from "yaml";
import { z } from "zod";
import { MemoryMount } from "../delivery/memory-mount.ts";
import { BrokerError } from "../errors.ts";
import { createMaskSet } from "../masking/mask-set.ts";
import { type SandboxConfig, sandboxConfigSchema } from "../sandbox/config.ts";
import { enterNest } from "../sandbox/nest.ts";
import { findInit } from "../sandbox/prepare.ts";
import { failedLine, sandboxd } from "../sandbox/sandboxd.ts";
import type { Io } from "./io.ts";

interface SandboxdFlags {
  readonly config: string;
  readonly socket: string;
  readonly serveUid: number;
  readonly nested?: string;
}

const help = `
\`mayfly serve\` starts this itself. It stops when its stdin ends, and leaves nothing behind.`;

export function sandboxdCommand(io: Io): Command {
  return new Command("sandboxd")
    .summary("run jobs for `mayfly serve`, as root")
    .description("The privileged half of Mayfly: it makes sandboxes for `mayfly serve`, on a socket that only serve may use.")
    .requiredOption("--config <file>", "mayfly.yaml; only its sandbox part is read")
    .requiredOption("--socket <path>", "where to listen")
    .requiredOption("--serve-uid <uid>", "the user that serve runs as", wholeNumber)
    .addOption(new Option("--nested <instance>", "set by sandboxd for itself, inside its own namespaces").hideHelp())
    .addHelpText("after", help)
    .action((flags: SandboxdFlags) => run(io, flags));
}

async function run(io: Io, flags: SandboxdFlags): Promise<void> {
  try {
    const config = read(flags.config);
    if (flags.nested === undefined) enterNest(findInit(), again(flags));
    const { socket, serveUid, nested } = flags;
    const rooms = {
      createMaskSet,
      openCredentials: (folder: string, reader: { uid: number; gid: number }) => new MemoryMount(folder, reader),
    };
    const { clock, stdin, stdout } = io;
    const code = await sandboxd({ config, socket, serveUid, instance: nested, rooms, clock, stdin, stdout });
    process.exit(code);
  } catch (error) {
    io.stdout.write(failedLine(error));
    io.exit(1);
  }
}

/** This program with the same arguments; the instance's name follows. */
function again({ config, socket, serveUid }: SandboxdFlags): readonly string[] {
  const program = [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
  return [...program, "sandboxd", "--config", config, "--socket", socket, "--serve-uid", String(serveUid), "--nested"];
}

function read(file: string): SandboxConfig {
  const found = z.looseObject({ sandbox: sandboxConfigSchema }).safeParse(parsed(file));
  if (found.success) return found.data.sandbox;
  throw new BrokerError("config-invalid", "the sandbox part of the configuration does not load", {
    hint: z.prettifyError(found.error),
  });
}

function parsed(file: string): unknown {
  try {
    return parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new BrokerError("config-invalid", `${file} cannot be read`, { detail: String(cause), cause });
  }
}

function wholeNumber(text: string): number {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text);
  throw new BrokerError("usage", "--serve-uid takes a number");
}
