import { existsSync, readFileSync } from "node:fs";
import { exitOf } from "../api/codes.ts";
import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { BrokerError, type Code } from "../errors.ts";
import { type Examination, examine } from "../identity/examine.ts";
import { compileProfiles } from "../identity/issuers/issuers.ts";
import { readRegularFile } from "../identity/keys/file.ts";
import { noHistory } from "../identity/keys/key-history.ts";
import { issuerFetch } from "../identity/keys/network.ts";
import { gatesOf } from "../identity/verify.ts";
import type { Policy } from "../policy/policy.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import { type Given, refusalOf, sayBeside } from "./explain-given.ts";
import { type AskFlags, folderOf, givenTo, policyFrom, timeAsked } from "./explain-policy.ts";
import { type About, accountOf } from "./explain-token-account.ts";
import { accountLines } from "./explain-token-text.ts";
import type { Io } from "./io.ts";
import { print, printJson, say, sayFailure } from "./output.ts";
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
  const now = timeAsked(io, flags);
  const { policy, untried, broken } = await templatesFrom(io, types, { config, flags });
  const offline = flags.offline === true;
  if (offline) say(io, "mayfly: WITHOUT THE SIGNATURE (--offline): anybody can have written this token");
  const signal = AbortSignal.timeout(patience);
  const seen = await examine(token, gatesFrom(io, config), { now: new Date(io.clock.now()), signal, offline });
  const { identity } = seen;
  const given = policy && identity && givenTo(policy, { identity, command, flags, now });
  report(io, { seen, given, untried, offline }, flags);
  if (policy !== undefined && given !== undefined) sayBeside(io, config, { given, policy, flags });
  if (broken !== undefined) sayFailure(io, broken);
  const code = codeOf(seen, given) ?? broken?.code;
  if (code !== undefined) io.exit(exitOf(code));
}

function report(io: Io, about: About, { json }: TokenFileFlags): void {
  if (json === true) printJson(io, accountOf(about));
  else print(io, ...accountLines(about));
}

interface Templates {
  readonly policy?: Policy<Delivery, Isolation>;
  /** Why there is no policy, for the account. */
  readonly untried?: string;
  readonly broken?: BrokerError;
}

/** What is believed of a token needs no templates: where there are none it is all that is told, and where they do not load it comes first. */
async function templatesFrom(
  io: Io,
  types: LoadCatalogue,
  site: { readonly config: Config; readonly flags: TokenFileFlags },
): Promise<Templates> {
  const folder = folderOf(io, site);
  if (site.flags.templates === undefined && !existsSync(folder)) return { untried: `there are none, for want of ${folder}` };
  try {
    const policy = await policyFrom(io, types, site);
    return policy.templates.size === 0 ? { untried: `there are none in ${folder}` } : { policy };
  } catch (broken) {
    if (broken instanceof BrokerError && broken.code === "policy-invalid") return { untried: "they do not load", broken };
    throw broken;
  }
}

export function gatesFrom(io: Io, { issuers }: Config): ReturnType<typeof gatesOf> {
  const profiles = compileProfiles(issuers, (path) => readFileSync(path, "utf8"));
  return gatesOf({ profiles, clock: io.clock, history: noHistory, fetch: issuerFetch, readFile: readRegularFile });
}

/** As the run would exit: a token that is refused is not looked at any further there. */
function codeOf({ refusal }: Examination, given: Given | undefined): Code | undefined {
  return refusal?.code ?? (given === undefined ? undefined : refusalOf(given));
}
