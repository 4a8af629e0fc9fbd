import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { AuditService, type Entry, ListEntriesResponseSchema } from "../api/gen/mayfly/v1/audit_pb.ts";
import { count } from "./count.ts";
import type { Io } from "./io.ts";
import { print, table } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";

interface ListFlags {
  readonly about: string;
  readonly kind: readonly string[];
  readonly from?: number;
  readonly limit: number;
  readonly newest?: boolean;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly audit list --newest --limit 20
  $ mayfly audit list --kind denied fence-raised
  $ mayfly audit list --about github:519283746 --json`;

export function auditListCommand(io: Io): Command {
  return new Command("list")
    .description("Lists entries, oldest first.")
    .option("--about <id>", "only those that name this session, run, lease, denial or workload", "")
    .option("--kind <kinds...>", "only those of these kinds", [])
    .option("--from <index>", "start at this entry", count)
    .option("--limit <count>", "at most so many", count, 100)
    .option("--newest", "newest first")
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: ListFlags) => list(io, flags));
}

async function list(io: Io, flags: ListFlags): Promise<void> {
  const { about, kind, from, limit, newest = false } = flags;
  using client = reach(io, AuditService, "audit", flags);
  const start = from === undefined ? {} : { from: BigInt(from) };
  const answer = await client.call.listEntries({ about, kinds: [...kind], limit, newestFirst: newest, ...start });
  if (flags.json === true) printMessage(io, ListEntriesResponseSchema, answer);
  else print(io, ...table(["INDEX", "TIME", "KIND", "ABOUT"], answer.entries.map(row)));
}

/** What a person looks for first: whose it is, and which. */
const telling = ["workload", "template", "run", "lease", "denial", "scope", "code", "why", "who", "what", "outcome"] as const;

function row({ index, time, kind, event }: Entry): readonly string[] {
  const words = telling.flatMap((name) => {
    const value = event?.[name];
    return typeof value === "string" ? [`${name}=${value}`] : [];
  });
  return [String(index), time === undefined ? "" : timestampDate(time).toISOString(), kind, words.join(" ")];
}
