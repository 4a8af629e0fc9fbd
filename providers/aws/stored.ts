import { BrokerError } from "../../src/errors.ts";
import { Secret } from "../../src/secret.ts";
import type { Asked, Role } from "./options.ts";
import type { Session } from "./session.ts";
import { type Parts, Wire } from "./wire.ts";

/** A stored value, and the narrowest session that can read it. */
export interface Stored {
  readonly policy: string;
  read(parts: Parts, keys: Session): Promise<Readonly<Record<string, Secret>>>;
}

/** Undefined where the template asks for a session of the job's own. */
export function storedOf(asked: Asked, role: Role, region: string): Stored | undefined {
  const { secret, parameter, format } = asked;
  if (secret !== undefined) {
    const policy = policyOf("secretsmanager:GetSecretValue", secretResource(secret, role, region), `secretsmanager.${region}`);
    return {
      policy,
      read: async (parts, keys) => fieldsOf(await readSecret(parts, keys, { ...asked, secret }), format ?? "fields"),
    };
  }
  if (parameter === undefined) return undefined;
  const resource = `arn:${role.partition}:ssm:${region}:${role.account}:parameter/${parameter.replace(/^\//, "")}`;
  const policy = policyOf("ssm:GetParameter", resource, `ssm.${region}`);
  return {
    policy,
    read: async (parts, keys) => fieldsOf(await readParameter(parts, keys, { ...asked, parameter }), format ?? "text"),
  };
}

/** Secrets Manager ends a secret's ARN with six characters of its own; a pattern of six matches no longer name. */
function secretResource(secret: string, { partition, account }: Role, region: string): string {
  return secret.startsWith("arn:") ? secret : `arn:${partition}:secretsmanager:${region}:${account}:secret:${secret}-??????`;
}

/** KMS decrypts for that service alone, on behalf of this reading. */
function policyOf(action: string, resource: string, via: string): string {
  const kms = { "kms:ViaService": [`${via}.amazonaws.com`, `${via}.amazonaws.com.cn`] };
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Action: action, Resource: resource },
      { Effect: "Allow", Action: "kms:Decrypt", Resource: "*", Condition: { StringEquals: kms } },
    ],
  });
}

async function readSecret(parts: Parts, keys: Session, asked: Asked & { readonly secret: string }): Promise<Uint8Array> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import("@aws-sdk/client-secrets-manager");
  const wire = wireOf(parts, keys, "secretsmanager");
  const client = new SecretsManagerClient({ ...wire.client, credentials: keys });
  const command = new GetSecretValueCommand({
    SecretId: asked.secret,
    ...(asked.version === undefined ? {} : { VersionId: asked.version }),
    ...(asked.stage === undefined ? {} : { VersionStage: asked.stage }),
  });
  const { SecretString, SecretBinary, Name, ARN } = await wire.call(() => client.send(command, { abortSignal: parts.signal }));
  if (Name !== asked.secret && ARN !== asked.secret) throw other("secret");
  return SecretString === undefined ? (SecretBinary ?? new Uint8Array()) : Buffer.from(SecretString, "utf8");
}

async function readParameter(parts: Parts, keys: Session, asked: Asked & { readonly parameter: string }): Promise<Uint8Array> {
  const { GetParameterCommand, SSMClient } = await import("@aws-sdk/client-ssm");
  const wire = wireOf(parts, keys, "ssm");
  const client = new SSMClient({ ...wire.client, credentials: keys });
  const name = asked.version === undefined ? asked.parameter : `${asked.parameter}:${asked.version}`;
  const command = new GetParameterCommand({ Name: name, WithDecryption: true });
  const { Parameter } = await wire.call(() => client.send(command, { abortSignal: parts.signal }));
  if (Parameter === undefined || Parameter.Name !== asked.parameter) throw other("parameter");
  return Buffer.from(Parameter.Value ?? "", "utf8");
}

function wireOf(parts: Parts, keys: Session, service: "secretsmanager" | "ssm"): Wire {
  const wire = new Wire(parts, service);
  wire.hides(keys.secretAccessKey, keys.sessionToken);
  return wire;
}

/** The bytes are overwritten; the SDK's own copies are not ours to reach. */
function fieldsOf(bytes: Uint8Array, format: "fields" | "text"): Readonly<Record<string, Secret>> {
  try {
    if (bytes.length === 0) throw new BrokerError("provider-refused", "the stored value is empty");
    return format === "text" ? { value: Secret.of(bytes) } : objectOf(Buffer.from(bytes).toString("utf8"));
  } finally {
    bytes.fill(0);
  }
}

function objectOf(text: string): Readonly<Record<string, Secret>> {
  const value = parsed(text);
  const entries = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  if (entries.length === 0)
    throw new BrokerError("provider-refused", "the stored value is no JSON object with fields", {
      hint: "write `format: text` in the template to take it as it is",
    });
  return Object.fromEntries(
    entries.map(([name, field]: [string, unknown]) => [
      name,
      Secret.of(typeof field === "string" ? field : JSON.stringify(field)),
    ]),
  );
}

/** The parser's own error would quote what it read. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function other(what: string): BrokerError {
  return new BrokerError("provider-broken-promise", `aws gave another ${what} than was asked for`);
}
