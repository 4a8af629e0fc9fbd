import { ConnectError } from "@connectrpc/connect";
import { exitOf } from "../api/codes.ts";
import { fromConnectError } from "../api/failure.ts";
import { asBrokerError, type BrokerError } from "../errors.ts";
import { escaped, printable } from "../printable.ts";
import type { Io, Output } from "./io.ts";

/*
 * How every command speaks: data on stdout, words on stderr. An error is one line, lower case, no full stop, then a `hint:` line where there
 * is something to do. Colour only where a person looks (https://no-color.org).
 *
 * Much of it is what a job, a file name or a stranger's template says. Each line that is given here stays one line, acts on no terminal and is
 * no command to the CI system whose log it ends up in.
 */

/** A line, or one that ends with a word in a colour. */
export type Line = string | { readonly text: string; readonly tag: string; readonly colour: Colour };

/** As a terminal's "select graphic rendition" numbers them (ECMA-48 section 8.3.117). */
type Colour = "1;31" | "31" | "33" | "36";

/** Lines of data. */
export function print(io: Io, ...lines: readonly Line[]): void {
  write(io, io.stdout, lines);
}

export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Lines for a person. */
export function say(io: Io, ...lines: readonly Line[]): void {
  write(io, io.stderr, lines);
}

function write(io: Io, to: Output, lines: readonly Line[]): void {
  to.write(lines.map((line) => `${typeof line === "string" ? plain(line) : tagged(io, to, line)}\n`).join(""));
}

function tagged(io: Io, to: Output, { text, tag, colour }: Exclude<Line, string>): string {
  return `${plain(text)} ${painted(io, to, { text: plain(tag), colour })}`;
}

/** GitHub, Forgejo and Azure read commands out of a log: lines that begin with `::`, and `##[` or `##vso[` anywhere. */
const command = /(?<=^\s*):(?=:)|#(?=#\w*\[)/g;

function plain(line: string): string {
  return printable(line).replaceAll(command, escaped);
}

/** Says what went wrong and decides the exit code. */
export function fail(io: Io, error: unknown): void {
  const failure = error instanceof ConnectError ? fromConnectError(error) : asBrokerError(error);
  sayFailure(io, failure);
  io.exit(exitOf(failure.code));
}

export function sayFailure(io: Io, { code, message, hint, id, detail }: BrokerError): void {
  const [first = "", ...rest] = message.split("\n");
  io.stderr.write(`${painted(io, io.stderr, { text: "mayfly:", colour: "1;31" })} ${plain(first)}\n`);
  say(io, ...rest);
  if (hint !== undefined) say(io, ...`hint: ${hint}`.split("\n"));
  if (id !== undefined)
    say(io, code === "internal" ? `id: ${id}, in the broker's log` : `id: ${id}, for \`mayfly explain ${id}\``);
  // Here, and not behind a socket: the one who reads it runs this very process.
  if (code === "internal" && id === undefined && detail !== undefined) say(io, ...detail.split("\n"));
}

/** Columns as wide as their widest cell; a table without rows is only its head. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const lines = [head, ...rows.map((row) => row.map(printable))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** `1 test`, `2 tests`, `0 tests`. */
export function numbered(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}

function painted(io: Io, to: Output, { text, colour }: { readonly text: string; readonly colour: Colour }): string {
  const coloured = to.isTTY === true && (io.env["NO_COLOR"] ?? "") === "";
  return coloured ? `\u001B[${colour}m${text}\u001B[0m` : text;
}
