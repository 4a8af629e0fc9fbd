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
import type { Profile } from "../identity/profile.ts";
import { lackedClaims, supposedClaims, supposedIdentity } from "../identity/supposed.ts";
import { explained } from "../policy/explain.ts";
import { meant, thereIs } from "../policy/language/nearest.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { givenLines, refusalOf, sayBeside } from "./explain-given.ts";
import { type AskFlags, givenTo, policyFrom, timeAsked } from "./explain-policy.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { configFrom } from "./templates.ts";

export interface ClaimsFlags extends AskFlags {
  readonly issuer?: string;
}

interface Asked {
  readonly claims: string;
  readonly command: readonly string[];
  readonly flags: ClaimsFlags;
}

/** What a job with these claims would be given, decided by the same code that decides in the broker. */
export async function explainClaims(io: Io, types: LoadCatalogue, { claims, command, flags }: Asked): Promise<void> {
  const config = configFrom(io, flags);
  const now = timeAsked(io, flags);
  const policy = await policyFrom(io, types, { config, flags });
  const identity = identityFrom(io, config, { claims: await readClaims(resolve(io.cwd, claims)), issuer: flags.issuer });
  const given = givenTo(policy, { identity, command, flags, now });
  if (flags.json === true) printJson(io, { decisions: given.decisions.map(explained), templates: given.traces });
  else print(io, ...givenLines(given));
  sayBeside(io, config, { given, policy, flags });
  const code = refusalOf(given);
  if (code !== undefined) io.exit(exitOf(code));
}

interface Said {
  readonly claims: JsonObject;
  /** Whose token it would be, where the claims need not be whole. */
  readonly issuer: string | undefined;
}

/** Throws `token-issuer`, and whatever the verifier would refuse such a token with. */
function identityFrom(io: Io, { issuers }: Config, { claims, issuer }: Said): Identity {
  const profiles = compileProfiles(issuers, (path) => readFileSync(path, "utf8"));
  if (issuer === undefined) return believed(claims, profileOf(claims, profiles), io);
  const profile = profileNamed(issuer, profiles);
  const whole = supposedClaims(claims, profile);
  if (!isOf(profile, whole))
    throw new BrokerError("usage", `these claims are not those of ${issuer}: their iss is ${JSON.stringify(claims["iss"])}`);
  const filled = Object.keys(whole).filter((name) => !Object.hasOwn(claims, name));
  if (filled.length > 0) say(io, `mayfly: filled in, as a policy test has it: ${filled.join(", ")}`);
  return believed(whole, profile, io);
}

function profileOf(claims: JsonObject, profiles: readonly Profile[]): Profile {
  const found = profiles.find((one) => isOf(one, claims));
  if (found !== undefined) return found;
  const hint = `name theirs with --issuer, which also fills in what is left out: ${thereIs(profiles.map(({ name }) => name))}`;
  const { iss } = claims;
  if (typeof iss !== "string")
    throw new BrokerError("usage", "the claims have no iss, so whose they are is not known", { hint });
  throw new BrokerError("token-issuer", `mayfly.yaml has no issuer whose url is the claims' iss, ${JSON.stringify(iss)}`, {
    hint: meant(
      iss,
      profiles.map((profile) => profile.issuer),
    ),
  });
}

function profileNamed(name: string, profiles: readonly Profile[]): Profile {
  const found = profiles.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = profiles.map((profile) => profile.name);
  throw new BrokerError("usage", `mayfly.yaml has no issuer ${JSON.stringify(name)}`, { hint: meant(name, names) });
}

/** The verifier's word, and the names of all claims that are wanting: whoever wrote the claims may hear them. */
function believed(claims: JsonObject, profile: Profile, io: Io): Identity {
  try {
    return supposedIdentity(claims, profile, io.clock.now());
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    const { code, message, detail } = error;
    const lacked = lackedClaims(claims, profile);
    const flaw = lacked.length > 0 ? `it lacks ${lacked.join(", ")}` : [message, detail].filter(Boolean).join(": ");
    throw new BrokerError(code, `a token of ${profile.name} with these claims is refused: ${flaw}`, {
      ...(lacked.length > 0 && { hint: `--issuer ${profile.name} fills in what its tokens always have` }),
      cause: error,
    });
  }
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
