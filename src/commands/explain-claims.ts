import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { exitOf } from "../api/codes.ts";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { isOf } from "../identity/chosen.ts";
import type { Identity } from "../identity/identity.ts";
import { compileProfiles } from "../identity/issuers/issuers.ts";
import { isObject, type JsonObject, readJson } from "../identity/json.ts";
import { supposedIdentity } from "../identity/supposed.ts";
import { explained, explainLines } from "../policy/explain.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { type AskFlags, decided, policyFrom, tracesOf } from "./explain-policy.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { configFrom } from "./templates.ts";

interface Asked {
  readonly claims: string;
  readonly command: readonly string[];
  readonly flags: AskFlags;
}

/** What a job with these claims would be given, decided by the same code that decides in the broker. */
export async function explainClaims(io: Io, types: LoadCatalogue, { claims, command, flags }: Asked): Promise<void> {
  const config = configFrom(io, flags);
  const policy = await policyFrom(io, types, { config, flags });
  const asking = { identity: identityFrom(io, config, await readClaims(resolve(io.cwd, claims))), command, flags };
  const traces = tracesOf(io, policy, asking);
  const first = decided(io, policy, asking);
  // A denial's own trace is bounded: it was made for the ledger.
  const decision = first.kind === "denied" ? { ...first, trace: traces } : first;
  if (flags.json === true) printJson(io, explained(decision, traces));
  else print(io, ...explainLines(decision, traces));
  if (decision.kind === "denied") io.exit(exitOf(decision.code));
}

/** Throws `token-issuer`, and whatever the verifier would refuse such a token with. */
function identityFrom(io: Io, config: Config, claims: JsonObject): Identity {
  const profiles = compileProfiles(config.issuers, (path) => readFileSync(path, "utf8"));
  const profile = profiles.find((one) => isOf(one, claims));
  if (profile === undefined) throw new BrokerError("token-issuer", "mayfly.yaml has no issuer whose url is the claims' `iss`");
  return supposedIdentity(claims, profile, io.clock.now());
}

const largest = 65_536;

async function readClaims(path: string): Promise<JsonObject> {
  try {
    if ((await stat(path)).size > largest) throw new BrokerError("usage", "claims are no longer than 64 KiB");
    const value = readJson(await readFile(path));
    if (isObject(value)) return value;
  } catch (cause) {
    throw new BrokerError("usage", `${path} does not hold claims`, {
      hint: "the file is a JSON object: the middle part of a token, decoded",
      cause,
    });
  }
  throw new BrokerError("usage", `${path} does not hold a JSON object`);
}
