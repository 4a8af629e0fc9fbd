import { BrokerError } from "../../../src/errors.ts";
import { Secret } from "../../../src/secret.ts";
import { broken } from "../session.ts";
import { type Asking, type Given, isRecord, leased, type Of, secretOf, textOf } from "./engine.ts";

/** A stored value: it outlives the job, and all that we can end is our way to it. */
export async function kv({ client }: Asking, { path }: Of<"kv">): Promise<Given> {
  const { lease_id, data } = await client.read(path);
  if (lease_id !== "") throw broken("a kv path answered with a lease", "name the kind in the template");
  const fields = fieldsOf(data ?? {});
  if (Object.keys(fields).length === 0) throw new BrokerError("provider-refused", "the secret holds no fields");
  return { material: { kind: "fields", fields } };
}

/** KV v2 wraps the secret in `data.data`, beside its `metadata`; v1 does not. */
function fieldsOf(data: Readonly<Record<string, unknown>>): Readonly<Record<string, Secret>> {
  const { data: inner, metadata } = data;
  const secret = isRecord(inner) && isRecord(metadata) && typeof metadata["version"] === "number" ? inner : data;
  const texts = Object.entries(secret).map(([name, value]): [string, string] => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return Object.fromEntries(texts.map(([name, text]) => [name, Secret.of(text)]));
}

/** A login that the engine made for this lease and takes back with it: database, ldap, rabbitmq and the like. */
export async function dynamic({ client, intent }: Asking, { path }: Of<"dynamic">): Promise<Given> {
  const answer = await client.read(path);
  const { username, password } = answer.data ?? {};
  if (answer.lease_id === "" || typeof username !== "string" || typeof password !== "string")
    throw broken("a dynamic path must answer with a username, a password and a lease");
  return {
    material: { kind: "username-password", username, password: Secret.of(password) },
    ...leased(answer, path, intent.ttl),
  };
}

/** A login that is there anyway, whose password the engine changes from time to time: every job has the same. */
export async function staticLogin({ client }: Asking, { path }: Of<"static">): Promise<Given> {
  const answer = await client.read(path);
  if (answer.lease_id !== "") throw broken("a static role answered with a lease", "name the kind in the template");
  return {
    material: { kind: "username-password", username: textOf(answer, "username"), password: secretOf(answer, "password") },
  };
}
