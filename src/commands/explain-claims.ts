import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { exitOf } from "../api/codes.ts";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { identityOf } from "../identity/claims.ts";
import type { Identity } from "../identity/identity.ts";
import { compileProfiles } from "../identity/issuers.ts";
import { isObject, type JsonObject, readJson } from "../identity/json.ts";
import type { Policy } from "../policy/compile.ts";
import { decide } from "../policy/decide.ts";
import { explained, explainText } from "../policy/explain.ts";
import type { Decision } from "../policy/grant.ts";
import { match } from "../policy/match.ts";
import { policyInvalid } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { configFrom, readTemplates, type TemplateFlags } from "./templates.ts";

export interface ClaimsFlags extends TemplateFlags {
  readonly claims?: string;
  readonly template?: string;
  readonly step?: string;
  readonly templates?: string;
  readonly json?: boolean;
}

interface Asked {
  readonly claims: string;
  readonly command: readonly string[];
  readonly flags: ClaimsFlags;
}

/** What a job with these claims would be given, decided by the same code that decides in the broker. */
export async function explainClaims(io: Io, types: LoadCatalogue, { claims, command, flags }: Asked): Promise<void> {
  const config = configFrom(io, flags);
  const folder = flags.templates === undefined ? config.templates : resolve(io.cwd, flags.templates);
  const compiled = await readTemplates(io, types, { config, folder });
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  const identity = identityFrom(io, config, await readClaims(resolve(io.cwd, claims)));
  const decision = decided(io, compiled.policy, { identity, command, flags });
  const asked = [...compiled.policy.templates.values()].filter(
    ({ name }) => flags.template === undefined || name === flags.template,
  );
  const traces = decision.kind === "granted" ? asked.map((template) => match(template, identity)) : [];
  if (flags.json === true) printJson(io, explained(decision, traces));
  else print(io, explainText(decision, traces));
  if (decision.kind === "denied") io.exit(exitOf(decision.code));
}

interface Deciding {
  readonly identity: Identity;
  readonly command: readonly string[];
  readonly flags: ClaimsFlags;
}

/** Without a command, one stands in where the step pins none: who asks what a job may have need not say what it runs. */
function decided<D, I>(io: Io, policy: Policy<D, I>, { identity, command, flags }: Deciding): Decision<D, I> {
  const ask = { identity, template: flags.template, step: flags.step, command, now: io.clock.now() };
  const decision = decide(policy, ask);
  const lacksCommand = decision.kind === "denied" && decision.code === "usage" && command.length === 0;
  return lacksCommand ? decide(policy, { ...ask, command: ["COMMAND"] }) : decision;
}

/** Signature and times are not looked at; what only a signed token has may be left out, since nobody is believed here. */
function identityFrom(io: Io, config: Config, claims: JsonObject): Identity {
  const profile = compileProfiles(config.issuers, (path) => readFileSync(path, "utf8")).find(
    ({ issuer }) => issuer === claims["iss"],
  );
  if (profile === undefined) throw new BrokerError("token-issuer", "mayfly.yaml has no issuer whose url is the claims' `iss`");
  const now = Math.floor(io.clock.now() / 1_000);
  const [alg = "RS256"] = profile.algorithms;
  const whole = { aud: profile.audience, iat: now, exp: now + 60, jti: "explained", ...claims };
  return identityOf(
    { header: { alg, kid: "", typ: "JWT", others: [] }, claims: whole, signingInput: "", compact: "" },
    profile,
  );
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
