import { z } from "zod";
import type { Explained } from "../../src/lease/http.ts";

interface Sentence {
  readonly message: string;
  readonly hint: string;
}

/** Entra ID's own, beside what RFC 6749 section 5.2 says: the numbers are what tells one refusal from another. */
const entra = z.object({ error_codes: z.array(z.number()).default([]), error_description: z.string().default("") });
const vault = z.object({
  error: z.object({
    code: z.string().default(""),
    message: z.string().default(""),
    innererror: z.object({ code: z.string() }).nullish().catch(undefined),
  }),
});

const credential =
  "the app's federated credential must have this broker's issuer, the job's workload as its subject, and the audience, each letter by letter";
const matching = (what: string): Sentence => ({
  message: `no federated credential of the app names this ${what}`,
  hint: `${credential}; a new one takes some minutes to be known everywhere`,
});
const keys: Sentence = {
  message: "entra does not know the key that signed the assertion",
  hint: "publish this broker's keys at its issuer's URL: `mayfly keys publish`",
};
const resource: Sentence = {
  message: "entra knows no such resource in this tenant",
  hint: "`scope` is one resource and /.default, and an app of that resource must exist in the tenant",
};

/** AADSTS numbers (Microsoft, "Microsoft Entra authentication and authorization error codes"). */
const sentences: Readonly<Record<number, Sentence>> = {
  70021: matching("issuer, subject or audience"),
  700211: matching("issuer"),
  700212: matching("audience"),
  700213: matching("subject"),
  700024: {
    message: "entra takes the assertion for too old or too new",
    hint: "compare this host's clock with a time server's",
  },
  50013: keys,
  700027: keys,
  700016: {
    message: "entra knows no such app in this tenant",
    hint: "check `client_id` in the template and `tenant` in mayfly.yaml",
  },
  7000112: { message: "the app is disabled in this tenant", hint: "enable its service principal" },
  90055: {
    message: "entra takes no more requests of this tenant at the moment",
    hint: "it throttles the tenant; ask less often",
  },
  90002: { message: "entra knows no such tenant", hint: "check `tenant` and `cloud` in mayfly.yaml" },
  500011: resource,
  70011: resource,
  1002012: resource,
};

/** By a vault's inner code, else by its code. */
const secrets: Readonly<Record<string, Sentence>> = {
  ForbiddenByRbac: {
    message: "the app may not read this secret",
    hint: "assign it the role Key Vault Secrets User on that secret alone; a new assignment takes some minutes",
  },
  AccessDenied: {
    message: "the app may not read this secret",
    hint: "give it `get` for secrets in the vault's access policy, or use roles instead",
  },
  ForbiddenByFirewall: {
    message: "the vault's firewall refuses this host",
    hint: "let the broker's address in, or use a private endpoint",
  },
  SecretDisabled: { message: "the secret's version is disabled", hint: "enable it, or name another with `version`" },
  SecretNotFound: { message: "the vault has no such secret", hint: "check `vault`, `secret` and `version` in the template" },
  Throttled: { message: "the vault takes no more requests at the moment", hint: "its quota is used up" },
  Unauthorized: { message: "the vault does not take the token", hint: "the vault must belong to the tenant of mayfly.yaml" },
};

export function explainedByEntra(body: unknown, scrubbed: (text: string) => string): Explained {
  const said = entra.safeParse(body);
  if (!said.success) return { detail: "" };
  const { error_codes: codes, error_description: words } = said.data;
  const sentence = codes.map((code) => sentences[code]).find((found) => found !== undefined);
  return { detail: scrubbed(`AADSTS${codes.join(",")}: ${words}`), ...sentence };
}

export function explainedByVault(body: unknown, scrubbed: (text: string) => string): Explained {
  const said = vault.safeParse(body);
  if (!said.success) return { detail: "" };
  const { code, message: words, innererror: inner } = said.data.error;
  return { detail: scrubbed(`${inner?.code ?? code}: ${words}`), ...(secrets[inner?.code ?? ""] ?? secrets[code]) };
}
