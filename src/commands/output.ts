import { ConnectError } from "@connectrpc/connect";
import { exitOf } from "../api/codes.ts";
import { fromConnectError } from "../api/failure.ts";
import { asBrokerError, type BrokerError } from "../errors.ts";
import type { Io, Output } from "./io.ts";

/*
 * How every command speaks: data on stdout, words on stderr. An error is one line, lower case, no full stop, then a `hint:` line where there
 * is something to do. Colour only where a person looks (https://no-color.org).
 */

/** One line of data. */
export function print(io: Io, text: string): void {
  io.stdout.write(`${text}\n`);
}

export function printJson(io: Io, value: unknown): void {
  print(io, JSON.stringify(value, null, 2));
}

/** One line for a person. */
export function say(io: Io, text: string): void {
  io.stderr.write(`${text}\n`);
}

/** Says what went wrong and decides the exit code. */
export function fail(io: Io, error: unknown): void {
  const failure = error instanceof ConnectError ? fromConnectError(error) : asBrokerError(error);
  sayFailure(io, failure);
  io.exit(exitOf(failure.code));
}

export function sayFailure(io: Io, { code, message, hint, id, detail }: BrokerError): void {
  say(io, `${paint(io, io.stderr, "mayfly:")} ${message}`);
  if (hint !== undefined) say(io, `hint: ${hint}`);
  if (id !== undefined)
    say(io, code === "internal" ? `id: ${id}, in the broker's log` : `id: ${id}, for \`mayfly explain ${id}\``);
  // Here, and not behind a socket: the one who reads it runs this very process.
  if (code === "internal" && id === undefined && detail !== undefined) say(io, detail);
}

/** Columns as wide as their widest cell; a table without rows is only its head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function paint(io: Io, to: Output, text: string): string {
  const coloured = to.isTTY === true && (io.env["NO_COLOR"] ?? "") === "";
  return coloured ? `\u001B[1;31m${text}\u001B[0m` : text;
}
