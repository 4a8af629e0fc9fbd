import { randomUUID } from "node:crypto";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Argument, Command } from "commander";
import type { JWK } from "jose";
import { ControlService, RotateKeyResponseSchema } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { KeyRing, type RingName, rings } from "../key-ring.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { jsonFlag, printMessage, reach, socketFlag } from "./reach.ts";
import { configFlag, configFrom, type TemplateFlags } from "./templates.ts";
import { type Asked, reason, whoFlag, whyFlag } from "./who.ts";

const jwksExamples = `
Examples:
  $ mayfly keys jwks > jwks.json     # to upload: Google's --jwk-json-path, Vault's jwks, Kubernetes
  $ mayfly keys jwks jobs            # for servers that take jobs' own tokens`;

const publishExamples = `
Examples:
  $ mayfly keys publish /srv/www     # then serve it at identity.url of mayfly.yaml; AWS and Entra ID read it there
  $ mayfly keys publish ./out && aws s3 cp --recursive ./out s3://issuer-bucket/`;

const rotateExamples = `
Examples:
  $ mayfly keys rotate proofs --why "yearly"           # makes the next key; it does not sign yet
  $ mayfly keys publish /srv/www                       # and wherever else keys were uploaded to
  $ mayfly keys rotate proofs --sign --why "yearly"    # once everybody has read it`;

const ringArgument = (): Argument => new Argument("[issuer]", "which one").choices(Object.keys(rings)).default("proofs");

/** What an issuer's keys are to others. */
export interface IssuerKeys {
  readonly issuer: string;
  readonly pem: string;
  readonly jwks: { readonly keys: readonly JWK[] };
}

/** All that are published, the one that signs first; read from the state folder. */
export async function issuerKeys(io: Io, config: Config, name: RingName): Promise<IssuerKeys> {
  const keys = await new KeyRing(config.state, name).published(io.clock.now()).catch((cause: unknown) => {
    if (cause instanceof BrokerError) throw cause;
    throw new BrokerError("config-invalid", `the keys in ${config.state} cannot be read`, {
      hint: "keys are made when the broker first starts, and read by root or its user",
      cause,
    });
  });
  return {
    issuer: name === "proofs" ? config.identity.url : `${config.identity.url}/jobs`,
    pem: keys.map(({ pem }) => pem).join(""),
    jwks: { keys: keys.map(({ jwk }) => jwk) },
  };
}

export function jwksCommand(io: Io): Command {
  return new Command("jwks")
    .summary("the key set that verifies what the broker signs")
    .description(
      "Prints the JSON Web Key Set of an issuer that the broker is: every key that is published, old and next ones too.",
    )
    .addArgument(ringArgument())
    .option(...configFlag)
    .addHelpText("after", jwksExamples)
    .action(async (name: RingName, flags: TemplateFlags) =>
      printJson(io, (await issuerKeys(io, configFrom(io, flags), name)).jwks),
    );
}

export function publishCommand(io: Io): Command {
  return new Command("publish")
    .summary("write what upstreams read of the broker, as files to host")
    .description(
      "Writes .well-known/openid-configuration and jwks.json for both issuers that the broker is (its proofs, and jobs' tokens below jobs/). Host the folder at `identity.url` of mayfly.yaml. Nothing in it is secret.",
    )
    .argument("<folder>", "where to write them; made where it is missing")
    .option(...configFlag)
    .addHelpText("after", publishExamples)
    .action((folder: string, flags: TemplateFlags) => publish(io, resolve(io.cwd, folder), configFrom(io, flags)));
}

async function publish(io: Io, folder: string, config: Config): Promise<void> {
  if (new URL(config.identity.url).hostname.endsWith(".invalid"))
    throw new BrokerError("config-invalid", "identity.url of mayfly.yaml is not set, so nobody could read the files at it", {
      hint: "set it to the https URL where this folder will be; `mayfly keys jwks` needs none, for upstreams that take an upload",
    });
  await write(join(folder), await issuerKeys(io, config, "proofs"), rings.proofs.algorithm);
  await write(join(folder, "jobs"), await issuerKeys(io, config, "jobs"), rings.jobs.algorithm);
  say(io, `written to ${folder}; host it at ${config.identity.url}`);
}

/** OpenID Connect Discovery 1.0 section 3, as far as a relying party of workload tokens reads it. The keys come first. */
async function write(folder: string, { issuer, jwks }: IssuerKeys, algorithm: string): Promise<void> {
  await mkdir(join(folder, ".well-known"), { recursive: true });
  await replace(join(folder, "jwks.json"), jwks);
  await replace(join(folder, ".well-known", "openid-configuration"), {
    issuer,
    jwks_uri: `${issuer}/jwks.json`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [algorithm],
  });
}

/** Whoever reads it while it is written reads the old one or the new one. */
async function replace(path: string, value: unknown): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o644, flag: "wx" });
  await rename(aside, path);
}

interface RotateFlags extends Asked {
  readonly sign?: boolean;
  readonly leaked?: boolean;
  readonly json?: boolean;
  readonly socket?: string;
}

export function rotateKeyCommand(io: Io): Command {
  return new Command("rotate")
    .summary("change the key that the broker signs with, in two steps")
    .description(
      "Makes the next signing key of an issuer that the broker is, which is published and does not sign yet; with --sign lets it sign. What the old one signed is verified until it is over.",
    )
    .addArgument(new Argument("<issuer>", "which one").choices(Object.keys(rings)))
    .option("--sign", "the next key signs from now on")
    .option("--leaked", "with --sign: the old key is no longer published, and nothing that it signed is verified")
    .option(...whoFlag)
    .requiredOption(...whyFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", rotateExamples)
    .action((name: string, flags: RotateFlags) => rotate(io, name, flags));
}

async function rotate(io: Io, name: string, flags: RotateFlags): Promise<void> {
  const { sign = false, leaked = false } = flags;
  using client = reach(io, ControlService, "control", flags);
  const answer = await client.call.rotateKey({ name, sign, leaked, ...reason(io, flags) });
  if (flags.json === true) return printMessage(io, RotateKeyResponseSchema, answer);
  print(io, `signs      ${answer.signing}`, ...answer.published.map((kid) => `published  ${kid}`));
  const step = sign
    ? "publish once more after what the old key signed is over (`mayfly keys publish`), and it is gone there too"
    : `publish it (\`mayfly keys publish\`, or an upload of \`mayfly keys jwks ${name}\`), and once every upstream has read it: \`mayfly keys rotate ${name} --sign\``;
  say(io, `next: ${step}`);
}
