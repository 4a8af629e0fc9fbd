import { z } from "zod";
import type { Explained } from "../../src/lease/http.ts";
import type { Service } from "./config.ts";

/** Google's APIs (google.rpc.Status), and its token service (RFC 6749 section 5.2). */
const apiError = z.object({ error: z.object({ status: z.string().default(""), message: z.string().default("") }) });
const oauthError = z.object({ error: z.string(), error_description: z.string().default("") });

interface Sentence {
  readonly message: string;
  readonly hint: string;
}

/** By a part of Google's own words, since its code is the same for each; the first that fits. */
const grants: readonly (readonly [RegExp, Sentence])[] = [
  [
    /audience in id token/i,
    {
      message: "google's workload identity provider expects another audience",
      hint: "set the provider's allowed audiences to what mayfly.yaml calls `audience`",
    },
  ],
  [
    /issuer in id token/i,
    {
      message: "google's workload identity provider expects another issuer",
      hint: "its issuer must be this broker's own URL, letter by letter: `mayfly keys show`",
    },
  ],
  [
    /stale|expired|issued in the future|not yet valid|used too early/i,
    {
      message: "google takes the proof for too old or too new",
      hint: "compare this host's clock with a time server's",
    },
  ],
  [
    /signature|signing key|jwks|key retrieval|credential's issuer|verify/i,
    {
      message: "google does not know the key that signed the proof",
      hint: "publish this broker's keys, or upload them to the provider: `mayfly keys jwks`",
    },
  ],
];

const condition: Sentence = {
  message: "the workload identity provider's attribute condition is not met",
  hint: "the condition sees the proof's claims: purpose, workload, template, lease, sub",
};
const target: Sentence = {
  message: "google knows no such workload identity provider",
  hint: "check `pool` in mayfly.yaml: the project's number, and that pool and provider are neither disabled nor deleted",
};
const boundary: Sentence = {
  message: "google does not take the credential access boundary",
  hint: "check the bucket's name, the roles and the condition's expression",
};

const denied: Readonly<Record<Service, Sentence>> = {
  sts: { message: "google's token service refused the exchange", hint: "enable sts.googleapis.com in the pool's project" },
  iamcredentials: {
    message: "google does not let this identity act as the service account, or it does not exist",
    hint: "grant roles/iam.workloadIdentityUser on it to the pool's principal (`as: host`: roles/iam.serviceAccountTokenCreator), and enable iamcredentials.googleapis.com",
  },
  secretmanager: {
    message: "google does not let this identity read the secret, or it does not exist",
    hint: "grant roles/secretmanager.secretAccessor on that secret alone",
  },
};

const tooLong: Sentence = {
  message: "google does not give this service account's tokens so long a life",
  hint: "set the credential's ttl to at most 1h, or list the account in constraints/iam.allowServiceAccountCredentialLifetimeExtension",
};
const throttled: Sentence = { message: "google takes no more requests at the moment", hint: "the project's quota is used up" };
const unusable: Sentence = {
  message: "the secret's version is disabled or destroyed",
  hint: "enable it, or name another with `version`",
};

/** What the caller may hear, and what the operator can do. Google's own words stay in the log. */
export function explained(service: Service, body: unknown, scrubbed: (text: string) => string): Explained {
  const api = apiError.safeParse(body);
  if (api.success) return told(scrubbed, api.data.error.status, api.data.error.message, apiSentence(service, api.data.error));
  const oauth = oauthError.safeParse(body);
  if (!oauth.success) return { detail: "" };
  const { error, error_description: words } = oauth.data;
  return told(scrubbed, error, words, oauthSentence(error, words));
}

function told(scrubbed: (text: string) => string, code: string, words: string, sentence: Sentence | undefined): Explained {
  return { detail: scrubbed(`${code}: ${words}`), ...sentence };
}

function oauthSentence(error: string, words: string): Sentence | undefined {
  if (error === "unauthorized_client") return condition;
  if (error === "invalid_target") return target;
  if (/access ?boundary|availab/i.test(words)) return boundary;
  return error === "invalid_grant" ? grants.find(([pattern]) => pattern.test(words))?.[1] : undefined;
}

function apiSentence(
  service: Service,
  { status, message }: { readonly status: string; readonly message: string },
): Sentence | undefined {
  if (status === "RESOURCE_EXHAUSTED") return throttled;
  if (status === "PERMISSION_DENIED" || status === "NOT_FOUND") return denied[service];
  if (status === "FAILED_PRECONDITION" && service === "secretmanager") return unusable;
  return status === "INVALID_ARGUMENT" && /lifetime/i.test(message) ? tooLong : undefined;
}
