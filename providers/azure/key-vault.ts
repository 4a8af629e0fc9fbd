import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { ask } from "../../src/lease/http.ts";
import { Secret } from "../../src/secret.ts";
import { vaultUrl } from "./config.ts";
import type { Parts } from "./entra.ts";
import type { Asked } from "./options.ts";
import { explainedByVault } from "./refusals.ts";

const apiVersion = "2025-07-01";

const bundle = z.object({ value: z.string(), id: z.url() });

/** The value of one version. The token is shown to this one vault only, whose address no claim decides. */
export async function readSecret(parts: Parts, bearer: Secret, asked: Asked): Promise<Readonly<Record<string, Secret>>> {
  const { config, authority, clock, signal } = parts;
  const { vault = "", secret = "", version = "", format = "text" } = asked;
  const token = bearer.use((bytes) => bytes.toString("utf8"));
  const upstream = {
    name: "key vault",
    clock,
    timeout: config.timeout,
    explain: (_: number, body: unknown) => explainedByVault(body, (text) => text.replaceAll(token, "[secret]").slice(0, 500)),
  };
  const url = new URL(`/secrets/${secret}/${version}?api-version=${apiVersion}`, vaultUrl(config, vault));
  const { body } = await ask(upstream, {
    method: "GET",
    url,
    headers: { authorization: `Bearer ${token}` },
    authority,
    signal,
  });
  const answer = bundle.safeParse(body);
  if (!answer.success) throw new Error("the answer is not one of Key Vault's");
  if (!isAsked(new URL(answer.data.id).pathname, secret, version))
    throw new BrokerError("provider-broken-promise", "key vault gave another secret than was asked for");
  return format === "text" ? { value: Secret.of(answer.data.value) } : fieldsOf(answer.data.value);
}

/** Names are compared as vaults do: in any case. */
function isAsked(path: string, secret: string, version: string): boolean {
  const [, kind, name = "", number = ""] = path.split("/");
  return (
    kind === "secrets" && name.toLowerCase() === secret.toLowerCase() && (version === "" ? number !== "" : number === version)
  );
}

function fieldsOf(value: string): Readonly<Record<string, Secret>> {
  const parsed = jsonIn(value);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed) || Object.keys(parsed).length === 0)
    throw new BrokerError("provider-refused", "the secret is no JSON object with fields", {
      hint: "store an object, or say `format: text`",
    });
  const texts = Object.entries(parsed).map(
    ([key, one]: [string, unknown]) => [key, typeof one === "string" ? one : JSON.stringify(one)] as const,
  );
  return Object.fromEntries(texts.map(([key, text]) => [key, Secret.of(text)]));
}

/** The parser's own error would quote what it read. */
function jsonIn(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
