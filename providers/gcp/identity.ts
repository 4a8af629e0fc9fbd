import { GoogleAuth, IdentityPoolClient } from "google-auth-library";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Proof } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { within } from "../../src/time.ts";
import { addressOf, type GcpConfig } from "./config.ts";
import type { Google } from "./google.ts";

/** What service accounts are acted as with, and secrets read with (Google IAM, "Service account impersonation"). */
export const everything = "https://www.googleapis.com/auth/cloud-platform";

const jwtType = "urn:ietf:params:oauth:token-type:jwt";
const form = "application/x-www-form-urlencoded";

/** Whom the broker is to Google: a principal of the workload identity pool, or the host. */
export type Identity = { readonly kind: "pool"; readonly pool: string; readonly proof: Proof } | { readonly kind: "host" };

/** An access token, and for how many seconds Google says it lives; undefined where Google does not say. */
export interface Token {
  readonly token: Secret;
  readonly seconds: number | undefined;
}

/** The token service's answer (RFC 8693 section 2.2.1). */
export const exchanged = z.object({
  access_token: z.string().min(1),
  token_type: z.string().regex(/^bearer$/i),
  issued_token_type: z.string(),
  expires_in: z.number().positive().optional(),
  scope: z.string().optional(),
});

export const accessTokenType = "urn:ietf:params:oauth:token-type:access_token";

/** A token that the broker itself asks with: no job is ever given it. */
export async function ownToken(google: Google, identity: Identity): Promise<Secret> {
  return identity.kind === "host" ? hostToken(google) : (await poolToken(google, identity, [everything])).token;
}

/**
 * Workload identity federation with Google's own client: made for one mint and forgotten, since it keeps its token. It would reach the token
 * service by an HTTP client of its own, which tries a POST again, obeys proxy variables and cannot say whether anything was sent; so
 * that one is replaced by ours.
 */
export async function poolToken(
  google: Google,
  { pool, proof }: Extract<Identity, { kind: "pool" }>,
  scopes: readonly string[],
): Promise<Token> {
  const { config } = google.parts;
  const client = new IdentityPoolClient({
    audience: `//iam.googleapis.com/${pool}`,
    subject_token_type: jwtType,
    token_url: addressOf(config, "sts", "/v1/token").href,
    scopes: [...scopes],
    subject_token_supplier: { getSubjectToken: () => shown(google, proof, audienceOf(config, pool)) },
    // Its interceptors print headers and answers where the environment asks for it.
    useAuthRequestParameters: false,
  });
  const answers = replaceTransport(client, (text) => exchange(google, text));
  const { token } = await client.getAccessToken();
  const [answer] = answers;
  if (answer === undefined || token !== answer.access_token) throw new Error("google's client did not ask as it was told to");
  checkScope(answer.scope, scopes);
  return { token: Secret.of(answer.access_token), seconds: answer.expires_in };
}

type Exchanged = z.output<typeof exchanged>;

/** A POST to the token service; also where the library has no part in it. */
export async function exchange(google: Google, text: string): Promise<Exchanged> {
  const answer = exchanged.safeParse(await google.ask({ service: "sts", path: "/v1/token", body: { type: form, text } }));
  // zod's own error would name what it read.
  if (!answer.success || answer.data.issued_token_type !== accessTokenType)
    throw new Error("the answer is not one of Google's token service");
  return answer.data;
}

/** A text with a part that was not asked for is broader. Google leaves it out, and then it is what was asked for (RFC 8693 section 2.2.1). */
function checkScope(given: string | undefined, asked: readonly string[]): void {
  if (given?.split(" ").some((one) => !asked.includes(one)) === true)
    throw new BrokerError("provider-broken-promise", "google's token has a scope that nobody asked for");
}

async function shown(google: Google, proof: Proof, audience: string): Promise<string> {
  const jwt = (await proof.token(audience)).use((bytes) => bytes.toString("utf8"));
  google.hides(jwt);
  return jwt;
}

function audienceOf({ audience }: GcpConfig, pool: string): string {
  return audience ?? `https://iam.googleapis.com/${pool}`;
}

interface Asked {
  readonly data: URLSearchParams;
}

/** Its field is protected, and there is no option for it (google-auth-library 11, `BaseExternalAccountClient`). */
function replaceTransport(client: IdentityPoolClient, post: (text: string) => Promise<Exchanged>): readonly Exchanged[] {
  const answers: Exchanged[] = [];
  const sts: unknown = Reflect.get(client, "stsCredential");
  if (typeof sts !== "object" || sts === null || !("transporter" in sts))
    throw new Error("google's client is made in another way");
  Object.assign(sts, {
    transporter: {
      request: async ({ data }: Asked) => {
        const answer = await post(data.toString());
        answers.push(answer);
        return { data: { ...answer } };
      },
    },
  });
  return answers;
}

/** Google's default chain: GOOGLE_APPLICATION_CREDENTIALS, gcloud's own file, the metadata server. Nobody was asked for a credential yet. */
async function hostToken(google: Google): Promise<Secret> {
  const { clock, config, signal } = google.parts;
  const auth = new GoogleAuth({ scopes: [everything], clientOptions: { useAuthRequestParameters: false } });
  const none = (why: string): never => {
    throw new BrokerError("provider-unavailable", "this host has no Google identity", {
      detail: `google's default chain: ${why}`,
      hint: "run the broker where a service account is attached, or set GOOGLE_APPLICATION_CREDENTIALS for its user",
    });
  };
  const asked = auth.getAccessToken().catch((error: unknown) => none(reasonOf(error)));
  const token = await within(clock, config.timeout, Promise.race([asked, untilAborted(signal)]), () =>
    none("no answer in time"),
  );
  return typeof token === "string" && token !== "" ? Secret.of(token) : none("no token");
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("told to stop"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** Its sentences may quote what was sent: a status or a system's word for it is enough. */
function reasonOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return "an unknown error";
  const said = ["code", "status"].map((key): unknown => Reflect.get(error, key)).find((one) => one !== undefined);
  return typeof said === "string" || typeof said === "number" ? String(said) : "it found no credentials";
}
