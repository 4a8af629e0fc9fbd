import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { BrokerService } from "../api/gen/mayfly/v1/broker_pb.ts";
import { BrokerError } from "../errors.ts";
import type { Surroundings } from "../identity/source/finders.ts";
import { findToken, sourceOf, type TokenWish } from "../identity/source/source.ts";
import { type System, titles } from "../identity/source/system.ts";
import { Secret } from "../secret.ts";
import type { Io } from "./io.ts";
import { type Reaching, reach } from "./reach.ts";

export interface TokenFlags extends Reaching {
  readonly token?: string;
  readonly audience?: string;
}

export const tokenFlag = [
  "--token <auto|system|file|->",
  "the identity token: where the CI system puts it, which can be named (github, gitlab, ...), from a file, or from stdin",
] as const;
export const audienceFlag = [
  "--audience <name>",
  "whom to have a token made for (default: MAYFLY_AUDIENCE, else what the broker says)",
] as const;

const findingTime = 15_000;

/** Throws `token-missing`, whose hint is what to add to the job's definition. */
export async function tokenFrom(io: Io, flags: TokenFlags): Promise<Secret> {
  const { token = "auto" } = flags;
  if (token === "-") return fromStdin(io);
  refuseToken("--token", token);
  const from = sourceOf(token, (path) => resolve(io.cwd, path));
  return found(io, { from, audience: (system) => audienceFor(io, flags, system) });
}

/** A file's token, or that of stdin for `-`; no CI system is looked for. */
export async function tokenInFile(io: Io, given: string): Promise<Secret> {
  if (given === "-") return fromStdin(io);
  refuseToken("--token-file", given);
  return found(io, { from: { kind: "file", path: resolve(io.cwd, given) }, audience: () => Promise.resolve("") });
}

function found(io: Io, wish: TokenWish): Promise<Secret> {
  return findToken(wish, surroundings(io), AbortSignal.timeout(findingTime));
}

async function fromStdin(io: Io): Promise<Secret> {
  const token = (await text(io.stdin)).trim();
  if (token === "") throw new BrokerError("token-missing", "stdin holds no token");
  return Secret.of(token);
}

/** A JWT begins so: `{"` in base64url, and the first of its dots. A session's handle is as little a file's name. */
const tokenShape = /eyJ[\w-]{8,}\.|mfs_[\w-]{16,}/;

/** A token in place of a file's name is not repeated, in an error least of all. */
export function refuseToken(where: string, given: string): void {
  if (tokenShape.test(given))
    throw new BrokerError("usage", `${where} was given a token, and takes the name of a file`, {
      hint: "put the token into a file that only you can read, or hand it in with `-`: every user of this host can read a command line",
    });
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

async function audienceFor(io: Io, flags: TokenFlags, system: System): Promise<string> {
  return flags.audience ?? io.env["MAYFLY_AUDIENCE"] ?? (await brokersAudience(io, flags, system));
}

/** What the broker expects of this system's tokens. An issuer that mayfly.yaml describes by hand may be any system's. */
async function brokersAudience(io: Io, flags: TokenFlags, system: System): Promise<string> {
  using client = reach(io, BrokerService, "broker", flags);
  const { audiences } = await client.call.getStatus({});
  const of = (wanted: string) => audiences.flatMap(({ preset, audience }) => (preset === wanted ? [audience] : []));
  const fitting = new Set(of(system).length > 0 ? of(system) : of("generic"));
  const [only = "mayfly", another] = fitting;
  if (another === undefined) return only;
  throw new BrokerError("usage", `the broker has ${fitting.size} audiences for ${titles[system]}: ${[...fitting].join(", ")}`, {
    hint: "choose one with --audience or MAYFLY_AUDIENCE",
  });
}

function surroundings(io: Io): Surroundings {
  return {
    environment: io.env,
    fetch: async (url, options) => fetch(url, { ...options, headers: { ...options.headers } }),
    spawn: async ([program = "", ...args], signal) =>
      (await promisify(execFile)(program, args, { signal, env: { ...io.env } })).stdout,
    readFile: async (path) => readFile(path, "utf8"),
  };
}
