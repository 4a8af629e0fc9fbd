import { readFileSync } from "node:fs";
import { exitOf } from "../api/codes.ts";
import type { Config } from "../config.ts";
import type { Code } from "../errors.ts";
import { type Examination, examine } from "../identity/examine.ts";
import type { Identity } from "../identity/identity.ts";
import { compileProfiles } from "../identity/issuers/issuers.ts";
import { readRegularFile } from "../identity/keys/file.ts";
import { noHistory } from "../identity/keys/key-history.ts";
import { issuerFetch } from "../identity/keys/network.ts";
import { gatesOf } from "../identity/verify.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { type AskFlags, decidedBySteps, policyFrom, tracesOf } from "./explain-policy.ts";
import { accountOf, type Given } from "./explain-token-account.ts";
import { accountLines } from "./explain-token-text.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { configFrom } from "./templates.ts";
import { tokenInFile } from "./token.ts";

export interface TokenFileFlags extends AskFlags {
  readonly tokenFile?: string;
  readonly offline?: boolean;
}

interface Asked {
  readonly file: string;
  readonly command: readonly string[];
  readonly flags: TokenFileFlags;
}

/** An issuer that is silent is given up on long before. */
const patience = 30_000;

/** What the verifier makes of a token, and what its job would be given: by the broker's own code, with nothing spent or recorded. */
export async function explainToken(io: Io, types: LoadCatalogue, { file, command, flags }: Asked): Promise<void> {
  const token = await tokenInFile(io, file);
  const config = configFrom(io, flags);
  const policy = await policyFrom(io, types, { config, flags });
  const offline = flags.offline === true;
  if (offline) say(io, "mayfly: WITHOUT THE SIGNATURE (--offline): anybody can have written this token");
  const signal = AbortSignal.timeout(patience);
  const seen = await examine(token, gatesFrom(io, config), { now: new Date(io.clock.now()), signal, offline });
  const given = seen.identity === undefined ? undefined : givenTo(seen.identity);
  const about = { seen, given, offline };
  if (flags.json === true) printJson(io, accountOf(about));
  else print(io, ...accountLines(about));
  const code = codeOf(seen, given);
  if (code !== undefined) io.exit(exitOf(code));

  function givenTo(identity: Identity): Given {
    const asking = { identity, command, flags };
    return { decisions: decidedBySteps(io, policy, asking), traces: tracesOf(io, policy, asking) };
  }
}

export function gatesFrom(io: Io, { issuers }: Config): ReturnType<typeof gatesOf> {
  const profiles = compileProfiles(issuers, (path) => readFileSync(path, "utf8"));
  return gatesOf({ profiles, clock: io.clock, history: noHistory, fetch: issuerFetch, readFile: readRegularFile });
}

/** As the run would exit: a token that is refused is not looked at any further there. */
function codeOf({ refusal }: Examination, given: Given | undefined): Code | undefined {
  if (refusal !== undefined) return refusal.code;
  const denial = given?.decisions.find((decision) => decision.kind === "denied");
  return denial?.kind === "denied" ? denial.code : undefined;
}
