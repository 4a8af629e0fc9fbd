import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Argument, Command } from "commander";
import { calculateJwkThumbprint, exportJWK, type JWK } from "jose";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { noteSigner, verifierKey } from "../ledger/note.ts";
import type { Io } from "./io.ts";
import { acceptCommand, refreshCommand } from "./issuer-keys.ts";
import { print, printJson } from "./output.ts";
import { configFlag, configFrom, type TemplateFlags } from "./templates.ts";

const showExamples = `
Examples:
  $ mayfly keys show ledger > ledger.vkey       # pin it where the broker cannot change it
  $ mayfly keys show authority > mayfly-ca.pem  # for servers that take jobs' client certificates
  $ mayfly keys show proofs > jwks.json         # for Vault's jwt auth or a cloud's federation
  $ mayfly keys show --json`;

const examples = `${showExamples}
  $ mayfly keys refresh gitlab --why "their signing key leaked and was withdrawn"
  $ mayfly keys accept github 3F8A1B --why "announced by GitHub on its status page"`;

/** Where `serve` keeps its keys, below the state folder. */
const keyFiles = { ledger: "ledger.key", proofs: "proofs.key", jobs: "jobs.key", authority: "ca.pem" } as const;

const names = ["ledger", "authority", "proofs", "jobs"] as const;
type Name = (typeof names)[number];

export function keysCommand(io: Io): Command {
  return new Command("keys")
    .summary("the broker's public keys, and those of its issuers")
    .description("Shows the broker's own public keys, and looks after those that identity tokens are verified with.")
    .addHelpText("after", examples)
    .addCommand(showCommand(io))
    .addCommand(refreshCommand(io))
    .addCommand(acceptCommand(io));
}

function showCommand(io: Io): Command {
  return new Command("show")
    .description(
      "Prints one public key of the broker in the form that others take, or all of them as JSON. Reads the state folder, so it is run as root or as the broker's user; makes and changes nothing.",
    )
    .addArgument(new Argument("[name]", "which one").choices(names))
    .option(...configFlag)
    .option("--json", "print all of them as JSON")
    .addHelpText("after", showExamples)
    .action((name: Name | undefined, flags: TemplateFlags & { readonly json?: boolean }) => show(io, name, flags));
}

async function show(io: Io, name: Name | undefined, flags: TemplateFlags & { readonly json?: boolean }): Promise<void> {
  const config = configFrom(io, flags);
  if (name === undefined || flags.json === true) return printJson(io, await everything(config));
  switch (name) {
    case "ledger":
      return print(io, await ledgerKey(config));
    case "authority":
      return print(io, ...(await certificate(config)).split("\n"));
    case "proofs":
    case "jobs":
      return printJson(io, (await issuer(config, name)).jwks);
  }
}

async function everything(config: Config): Promise<object> {
  const [ledger, authority, proofs, jobs] = await Promise.all([
    ledgerKey(config),
    certificate(config),
    issuer(config, "proofs"),
    issuer(config, "jobs"),
  ]);
  return { ledger, authority, proofs, jobs };
}

async function ledgerKey(config: Config): Promise<string> {
  return verifierKey(noteSigner(config.identity.origin, await privateKey(config, "ledger")));
}

async function certificate(config: Config): Promise<string> {
  const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(await keyFile(config, "authority"))?.[0];
  if (pem === undefined) throw unfit(config, "authority");
  return new X509Certificate(pem).toString().trimEnd();
}

interface IssuerKeys {
  readonly issuer: string;
  readonly pem: string;
  readonly jwks: { readonly keys: readonly JWK[] };
}

async function issuer(config: Config, name: "proofs" | "jobs"): Promise<IssuerKeys> {
  const key = createPublicKey(await privateKey(config, name));
  const jwk = await exportJWK(key);
  const alg = name === "proofs" ? "RS256" : "ES256";
  return {
    issuer: name === "proofs" ? config.identity.url : `${config.identity.url}/jobs`,
    pem: key.export({ type: "spki", format: "pem" }).toString(),
    jwks: { keys: [{ ...jwk, kid: await calculateJwkThumbprint(jwk), alg, use: "sig" }] },
  };
}

/** No cause is kept: OpenSSL's complaints may quote what they read. */
async function privateKey(config: Config, name: Name): Promise<KeyObject> {
  const pem = await keyFile(config, name);
  try {
    return createPrivateKey(pem);
  } catch {
    throw unfit(config, name);
  }
}

async function keyFile(config: Config, name: Name): Promise<string> {
  return readFile(pathOf(config, name), "utf8").catch((cause: unknown) => {
    throw new BrokerError("config-invalid", `${pathOf(config, name)} cannot be read`, {
      hint: "keys are made when the broker first starts, and read by root or its user",
      cause,
    });
  });
}

function pathOf({ state }: Config, name: Name): string {
  return join(state, keyFiles[name]);
}

function unfit(config: Config, name: Name): BrokerError {
  return new BrokerError("config-invalid", `${pathOf(config, name)} does not hold what it should`);
}
