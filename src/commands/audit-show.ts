import { Command } from "commander";
import { AuditService, EntrySchema } from "../api/gen/mayfly/v1/audit_pb.ts";
import { BrokerError } from "../errors.ts";
import { count } from "./count.ts";
import type { Io } from "./io.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";

const examples = `
Examples:
  $ mayfly audit show 42`;

export function auditShowCommand(io: Io): Command {
  return new Command("show")
    .description("Prints one entry as JSON.")
    .argument("<index>", "its place in the ledger", count)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((index: number, flags: { readonly socket?: string }) => show(io, index, flags));
}

async function show(io: Io, index: number, flags: { readonly socket?: string }): Promise<void> {
  using client = reach(io, AuditService, "audit", flags);
  const { entry } = await client.call.getEntry({ index: BigInt(index) });
  if (entry === undefined) throw new BrokerError("entry-unknown");
  printMessage(io, EntrySchema, entry);
}
