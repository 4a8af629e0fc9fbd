import { Command } from "commander";
import { AuditService } from "../api/gen/mayfly/v1/audit_pb.ts";
import { count } from "./count.ts";
import type { Io } from "./io.ts";
import { reach, socketFlag } from "./reach.ts";

const examples = `
Examples:
  $ mayfly audit receipt 42 > entry-42.tlog-proof
  $ mayfly audit verify entry-42.tlog-proof --key "$(cat ledger.vkey)"`;

export function auditReceiptCommand(io: Io): Command {
  return new Command("receipt")
    .description("Prints the proof that an entry is in the ledger: a C2SP tlog-proof, to be checked offline.")
    .argument("<index>", "its place in the ledger", count)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((index: number, flags: { readonly socket?: string }) => receipt(io, index, flags));
}

async function receipt(io: Io, index: number, flags: { readonly socket?: string }): Promise<void> {
  using client = reach(io, AuditService, "audit", flags);
  io.stdout.write((await client.call.getReceipt({ index: BigInt(index) })).receipt);
}
