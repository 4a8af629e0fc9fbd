import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command } from "commander";
import type { OpenClient } from "../api/client.ts";
import { exitOf } from "../api/codes.ts";
import { AuditService } from "../api/gen/mayfly/v1/audit_pb.ts";
import { BrokerError } from "../errors.ts";
import { openCheckpoint } from "../ledger/checkpoint.ts";
import { parseVerifierKey } from "../ledger/note.ts";
import { verifyReceipt } from "../ledger/receipt.ts";
import { type VerifyReport, verifyLog } from "../ledger/verify.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { jsonFlag, reach, socketFlag } from "./reach.ts";

interface VerifyFlags {
  readonly key?: string;
  readonly earlier: readonly string[];
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly audit verify --key "$(cat /etc/mayfly/ledger.vkey)"
  $ mayfly audit verify --key mayfly.example+530d903a+A... --earlier last-week.checkpoint
  $ mayfly audit verify result.tlog-proof --key "$(cat ledger.vkey)"`;

export function auditVerifyCommand(io: Io): Command {
  return new Command("verify")
    .description(
      "Recomputes the whole ledger from its raw leaves, or checks one receipt offline. Exits with 0 only if everything holds.",
    )
    .argument("[receipt]", "a receipt to check offline, instead of the whole ledger")
    .option("--key <vkey>", "the ledger's verifier key, from a place that its keeper cannot change; `mayfly keys show` has it")
    .option("--earlier <files...>", "checkpoints kept elsewhere, which the ledger must still contain", [])
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((receipt: string | undefined, flags: VerifyFlags) =>
      receipt === undefined ? ledger(io, flags) : offline(io, receipt, flags),
    );
}

async function offline(io: Io, receipt: string, { key, json }: VerifyFlags): Promise<void> {
  if (key === undefined)
    throw new BrokerError("usage", "a receipt is checked with a key", { hint: "pin it with --key; `mayfly keys show` has it" });
  const { entry, origin, size } = verifyReceipt(await readText(io, receipt), key);
  if (json === true) printJson(io, { ok: true, origin, size, entry });
  else
    print(
      io,
      `entry ${entry.index} (${entry.event.kind}) of ${new Date(entry.time).toISOString()} is in ${origin}, of ${size} entries then`,
    );
}

async function ledger(io: Io, flags: VerifyFlags): Promise<void> {
  using client = reach(io, AuditService, "audit", flags);
  const { checkpoint, verifierKey } = await client.call.getCheckpoint({});
  const vkey = flags.key ?? verifierKey;
  if (flags.key === undefined) say(io, `no key was pinned: this believes the broker's own word that its key is ${verifierKey}`);
  const earlier = await Promise.all(flags.earlier.map((file) => readText(io, file)));
  const leaves = streamed(client, openCheckpoint(checkpoint, parseVerifierKey(vkey)).size);
  const report = await verifyLog({ leaves, checkpoint, vkey, earlier, now: io.clock.now() });
  if (flags.json === true) printJson(io, report);
  else print(io, ...lines(report));
  if (!report.ok) io.exit(exitOf("ledger-corrupt"));
}

/** Exactly those that the checkpoint is of: reading is recorded, so the ledger has grown since. */
async function* streamed({ call }: OpenClient<typeof AuditService>, size: number): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  for await (const { leaves } of call.streamLeaves({ from: 0n, count: BigInt(size) })) yield* leaves;
}

function lines({ ok, size, root, found, findings, leases }: VerifyReport): readonly string[] {
  if (!ok)
    return [`the ledger does NOT verify: ${found} findings`, ...findings.map(({ name, message }) => `  ${name}: ${message}`)];
  const states = Object.entries(leases).map(([state, number]) => `${number} ${state}`);
  return [`the ledger verifies: ${size} entries, root ${root}`, `leases: ${states.length === 0 ? "none" : states.join(", ")}`];
}

async function readText(io: Io, file: string): Promise<string> {
  const path = resolve(io.cwd, file);
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new BrokerError("usage", `${path} cannot be read`, { cause });
  });
}
