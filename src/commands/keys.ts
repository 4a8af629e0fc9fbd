import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Argument, Command } from "commander";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { noteSigner, verifierKey } from "../ledger/note.ts";
import type { Io } from "./io.ts";
import { acceptCommand, refreshCommand } from "./issuer-keys.ts";
import { print, printJson } from "./output.ts";
import { issuerKeys, jwksCommand, publishCommand, rotateKeyCommand } from "./signing-keys.ts";
import { configFlag, configFrom, type TemplateFlags } from "./templates.ts";

const showExamples = `
Examples:
  $ mayfly keys show ledger > ledger.vkey       # pin it where the broker cannot change it
  $ mayfly keys show authority > mayfly-ca.pem  # for servers that take jobs' client certificates
  $ mayfly keys show ssh > mayfly-ssh-ca.pub    # for the file that sshd's TrustedUserCAKeys names
  $ mayfly keys show proofs > jwks.json         # for Vault's jwt auth or a cloud's federation
  $ mayfly keys show --json`;

const examples = `${showExamples}
  $ mayfly keys publish /srv/www                # what AWS and Entra ID read of the broker
  $ mayfly keys rotate proofs --why "yearly"
  $ mayfly keys refresh gitlab --why "their signing key leaked and was withdrawn"
  $ mayfly keys accept github 3F8A1B --why "announced by GitHub on its status page"`;

/** Where `serve` keeps its keys, below the state folder. */
const keyFiles = { ledger: "ledger.key", authority: "ca.pem", ssh: "ssh.key" } as const;

const names = ["ledger", "authority", "ssh", "proofs", "jobs"] as const;
type Name = (typeof names)[number];

export function keysCommand(io: Io): Command {
  return new Command("keys")
    .summary("the broker's public keys, and those of its issuers")
    .description(
      "Shows and changes the keys that the broker signs with, and looks after those that identity tokens are verified with.",
    )
    .addHelpText("after", examples)
    .addCommand(showCommand(io))
    .addCommand(jwksCommand(io))
    .addCommand(publishCommand(io))
    .addCommand(rotateKeyCommand(io))
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
  if (name === undefined || flags.json === true) return printJson(io, await everything(io, config));
  switch (name) {
    case "ledger":
      return print(io, await ledgerKey(config));
    case "authority":
      return print(io, ...(await certificate(config)).split("\n"));
    case "ssh":
      return print(io, await sshAuthority(config));
    case "proofs":
    case "jobs":
      return printJson(io, (await issuerKeys(io, config, name)).jwks);
  }
}

async function everything(io: Io, config: Config): Promise<object> {
  const [ledger, authority, ssh, proofs, jobs] = await Promise.all([
    ledgerKey(config),
    certificate(config),
    sshAuthority(config),
    issuerKeys(io, config, "proofs"),
    issuerKeys(io, config, "jobs"),
  ]);
  return { ledger, authority, ssh, proofs, jobs };
}

async function ledgerKey(config: Config): Promise<string> {
  return verifierKey(noteSigner(config.identity.origin, await privateKey(config, "ledger")));
}

async function certificate(config: Config): Promise<string> {
  const pem = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(await keyFile(config, "authority"))?.[0];
  if (pem === undefined) throw unfit(config, "authority");
  return new X509Certificate(pem).toString().trimEnd();
}

/** RFC 8709 section 4: the name of its kind, and 32 bytes. */
async function sshAuthority(config: Config): Promise<string> {
  const { x = "" } = createPublicKey(await privateKey(config, "ssh")).export({ format: "jwk" });
  const blob = Buffer.concat([Buffer.from("\0\0\0\x0bssh-ed25519\0\0\0\x20"), Buffer.from(x, "base64url")]);
  return `ssh-ed25519 ${blob.toString("base64")} mayfly`;
}

/** No cause is kept: OpenSSL's complaints may quote what they read. */
async function privateKey(config: Config, name: keyof typeof keyFiles): Promise<KeyObject> {
  const pem = await keyFile(config, name);
  try {
    return createPrivateKey(pem);
  } catch {
    throw unfit(config, name);
  }
}

async function keyFile(config: Config, name: keyof typeof keyFiles): Promise<string> {
  return readFile(pathOf(config, name), "utf8").catch((cause: unknown) => {
    throw new BrokerError("config-invalid", `${pathOf(config, name)} cannot be read`, {
      hint: "keys are made when the broker first starts, and read by root or its user",
      cause,
    });
  });
}

function pathOf({ state }: Config, name: keyof typeof keyFiles): string {
  return join(state, keyFiles[name]);
}

function unfit(config: Config, name: keyof typeof keyFiles): BrokerError {
  return new BrokerError("config-invalid", `${pathOf(config, name)} does not hold what it should`);
}
