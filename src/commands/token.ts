import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { BrokerError } from "../errors.ts";
import { findToken, type Surroundings } from "../identity/source.ts";
import { Secret } from "../secret.ts";
import type { Io } from "./io.ts";

export interface TokenFlags {
  readonly token?: string;
  readonly audience?: string;
}

export const tokenFlag = [
  "--token <auto|file|->",
  "the identity token: found where the CI system puts it, read from a file, or from stdin",
] as const;
export const audienceFlag = [
  "--audience <name>",
  "whom to have a token made for (default: MAYFLY_AUDIENCE, else mayfly)",
] as const;

const findingTime = 15_000;

/** Throws `token-missing`, whose hint is what to add to the job's definition. */
export async function tokenFrom(io: Io, { token = "auto", audience }: TokenFlags): Promise<Secret> {
  if (token === "-") return fromStdin(io);
  const from = token === "auto" ? token : resolve(io.cwd, token);
  return findToken(
    { from, audience: audience ?? io.env["MAYFLY_AUDIENCE"] ?? "mayfly" },
    surroundings(io),
    AbortSignal.timeout(findingTime),
  );
}

/** A handle as the flag gives it, or from the file behind an `@`, which other users of the host cannot read from the process list. */
export async function handleFrom(io: Io, given: string): Promise<Secret> {
  if (!given.startsWith("@")) return Secret.of(given);
  const path = resolve(io.cwd, given.slice(1));
  const content = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new BrokerError("session-unknown", `${path} cannot be read`, {
      hint: "`mayfly session start --handle-file FILE` writes it",
      cause,
    });
  });
  return Secret.of(content.trim());
}

async function fromStdin(io: Io): Promise<Secret> {
  const token = (await text(io.stdin)).trim();
  if (token === "") throw new BrokerError("token-missing", "stdin holds no token");
  return Secret.of(token);
}

function surroundings(io: Io): Surroundings {
  return {
    environment: io.env,
    fetch: async (url, { headers, redirect, signal }) => fetch(url, { headers: { ...headers }, redirect, signal }),
    spawn: async ([program = "", ...args], signal) =>
      (await promisify(execFile)(program, args, { signal, env: { ...io.env } })).stdout,
    readFile: async (path) => readFile(path, "utf8"),
  };
}
