import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { BrokerService, BrokerServiceGetStatusResponseSchema } from "../api/gen/mayfly/v1/broker_pb.ts";
import {
  ControlService,
  type ControlServiceGetStatusResponse,
  ControlServiceGetStatusResponseSchema,
} from "../api/gen/mayfly/v1/control_pb.ts";
import type { Io } from "./io.ts";
import { print } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { rotationLines } from "./rotation-lines.ts";

interface StatusFlags {
  readonly full?: boolean;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly status
  $ mayfly status --full --json`;

export function statusCommand(io: Io): Command {
  return new Command("status")
    .summary("whether the broker takes work, and what needs a person")
    .description("Asks the broker how it is: for a runner in short (broker.sock), for an operator in full (control.sock).")
    .option("--full", "everything, from control.sock")
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((flags: StatusFlags) => (flags.full === true ? full(io, flags) : short(io, flags)));
}

async function short(io: Io, flags: StatusFlags): Promise<void> {
  using client = reach(io, BrokerService, "broker", flags);
  const status = await client.call.getStatus({});
  if (flags.json === true) return printMessage(io, BrokerServiceGetStatusResponseSchema, status);
  print(
    io,
    `mayfly ${status.version}: ${status.draining ? "shutting down" : "taking work"}, ${status.running} of ${status.capacity} jobs`,
  );
}

async function full(io: Io, flags: StatusFlags): Promise<void> {
  using client = reach(io, ControlService, "control", flags);
  const status = await client.call.getStatus({});
  if (flags.json === true) printMessage(io, ControlServiceGetStatusResponseSchema, status);
  else print(io, ...lines(status), ...rotationLines(io, status.rotations));
}

function lines(status: ControlServiceGetStatusResponse): readonly string[] {
  const { version, draining, issuers, providers, trouble } = status;
  return [
    `broker     ${version}${since(status)}, ${draining ? "shutting down" : "taking work"}`,
    ...parts(status),
    `issuers    ${issuers.join(", ")}`,
    `providers  ${providers.map(({ name, type }) => `${name} (${type})`).join(", ")}`,
    ...(trouble.length === 0 ? ["trouble    none"] : trouble.map(({ code, about }) => `trouble    ${code}: ${about}`)),
  ];
}

function since({ startedAt }: ControlServiceGetStatusResponse): string {
  return startedAt === undefined ? "" : ` since ${timestampDate(startedAt).toISOString()}`;
}

/** A broker of another version may leave a part out; what it does not say is not made up. */
function parts({ policy, sandboxes, ledger, leases }: ControlServiceGetStatusResponse): readonly string[] {
  return [
    ...(policy === undefined ? [] : [`policy     ${policy.digest}, templates ${policy.templates.join(", ")}`]),
    ...(sandboxes === undefined ? [] : [`sandboxes  ${sandboxes.runtime}, ${sandboxes.running} of ${sandboxes.capacity} jobs`]),
    ...(ledger === undefined ? [] : [`ledger     ${ledger.origin}, ${ledger.size} entries, key ${ledger.verifierKey}`]),
    ...(leases === undefined ? [] : [`leases     ${leases.live} live, ${leases.overdue} overdue`]),
  ];
}
