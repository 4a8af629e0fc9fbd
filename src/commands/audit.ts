import { Command } from "commander";
import { auditListCommand } from "./audit-list.ts";
import { auditReceiptCommand } from "./audit-receipt.ts";
import { auditShowCommand } from "./audit-show.ts";
import { auditVerifyCommand } from "./audit-verify.ts";
import type { Io } from "./io.ts";

const examples = `
Examples:
  $ mayfly audit list --newest --limit 20
  $ mayfly audit list --about run-7f1c... --json
  $ mayfly audit verify --key "$(cat /etc/mayfly/ledger.vkey)"
  $ mayfly audit verify receipt.tlog-proof --key "$(cat ledger.vkey)"`;

export function auditCommand(io: Io): Command {
  return new Command("audit")
    .summary("read the ledger, and prove that it was not changed")
    .description(
      "Reads the ledger over audit.sock; each read is recorded. `verify` recomputes everything here and believes only the pinned key.",
    )
    .addHelpText("after", examples)
    .addCommand(auditListCommand(io))
    .addCommand(auditShowCommand(io))
    .addCommand(auditVerifyCommand(io))
    .addCommand(auditReceiptCommand(io));
}
