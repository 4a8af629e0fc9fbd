import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import Provider, { errors } from "oidc-provider";
import { z } from "zod";
import { everything, type Issued, type Rule, type Tokens } from "./google-tokens.ts";

export interface StsOptions {
  /** Whose proofs the pool's provider takes: exactly this issuer, and these uploaded keys. */
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  readonly audience: string;
  readonly pool: string;
  readonly tokens: Tokens;
}

const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
const accessToken = "urn:ietf:params:oauth:token-type:access_token";
const parameters = ["audience", "scope", "requested_token_type", "subject_token", "subject_token_type", "options"] as const;

type Params = Readonly<Partial<Record<(typeof parameters)[number], string>>>;

/**
 * Google's token service (RFC 8693) as a grant of a real oidc-provider: that one reads and checks the request as RFC 6749 says, and what the
 * grant means is ours, after Google's reference. The pool is the one of docs/providers/gcp.md: its mapping of
 * `google.subject` and `attribute.grant`, and its condition.
 */
export function googleSts(url: string, options: StsOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const secret = randomBytes(16).toString("hex");
  const provider = new Provider(url, {
    adapter: Nothing,
    cookies: { keys: [secret] },
    clients: [{ client_id: "anybody", client_secret: secret, grant_types: [grant], redirect_uris: [], response_types: [] }],
    routes: { token: "/v1/token" },
    features: { devInteractions: { enabled: false } },
    jwks: {
      keys: [
        {
          ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
          alg: "RS256",
          use: "sig",
        },
      ],
    },
  });
  provider.registerGrantType<Params>(
    grant,
    async (ctx) => {
      ctx.body = await exchange(options, ctx.oidc.params);
    },
    parameters,
  );
  const callback = provider.callback();
  return (request, response) => {
    // Google's token service asks for no client: whoever asks is given the one that oidc-provider must have.
    if (request.headers.authorization !== undefined) return void response.writeHead(400).end();
    request.headers.authorization = `Basic ${Buffer.from(`anybody:${secret}`).toString("base64")}`;
    void callback(request, response);
  };
}

/** It keeps nothing: what is given stands in `Tokens`. */
class Nothing {
  upsert = (): Promise<void> => Promise.resolve();
  find = (): Promise<undefined> => Promise.resolve(undefined);
  findByUserCode = (): Promise<undefined> => Promise.resolve(undefined);
  findByUid = (): Promise<undefined> => Promise.resolve(undefined);
  destroy = (): Promise<void> => Promise.resolve();
  revokeByGrantId = (): Promise<void> => Promise.resolve();
  consume = (): Promise<void> => Promise.resolve();
}

function refuse(error: string, words: string): never {
  throw new errors.CustomOIDCProviderError(error, words);
}

async function exchange(options: StsOptions, params: Params): Promise<object> {
  if (params.requested_token_type !== accessToken) refuse("invalid_request", "Invalid requested_token_type.");
  const subject = params.subject_token ?? refuse("invalid_request", "Missing subject_token.");
  switch (params.subject_token_type) {
    case "urn:ietf:params:oauth:token-type:jwt":
      return answer(await federated(options, subject, params));
    case accessToken:
      return answer(downscoped(options, subject, params));
    default:
      return refuse("invalid_request", "Invalid subject_token_type.");
  }
}

function answer({ token, until }: Issued): object {
  return {
    access_token: token,
    issued_token_type: accessToken,
    token_type: "Bearer",
    expires_in: Math.floor((until - Date.now()) / 1_000),
  };
}

async function federated(options: StsOptions, subject: string, { audience, scope, options: more }: Params): Promise<Issued> {
  const { pool, tokens } = options;
  if (audience !== `//iam.googleapis.com/${pool}`)
    refuse("invalid_target", 'The target service indicated by the "audience" parameters is invalid.');
  if (scope === undefined || more !== undefined)
    refuse("invalid_request", "Missing scope, or options that are for Google's tokens.");
  const { sub, lease, template, workload, purpose } = await verified(options, subject);
  if (typeof sub !== "string" || Buffer.byteLength(sub) > 127)
    refuse("invalid_grant", "The mapped google.subject is longer than 127 bytes.");
  if (purpose !== "mint") refuse("unauthorized_client", "The given credential is rejected by the attribute condition.");
  return tokens.give({
    kind: "pool",
    principal: `principal://iam.googleapis.com/${pool.replace(/\/providers\/.*/, "")}/subject/${sub}`,
    lease: String(lease),
    grant: `${String(template)}:${String(workload)}`,
    scopes: scope.split(" "),
    until: Date.now() + 3_600_000,
  });
}

/** Google's order and, as far as they are known, its words. */
async function verified({ issuer, jwks, audience }: StsOptions, token: string): Promise<JWTPayload> {
  const { kid, alg = "" } = decodeProtectedHeader(token);
  const { iss, aud, exp = 0, iat = Number.POSITIVE_INFINITY } = decodeJwt(token);
  const checks: readonly (readonly [boolean, string])[] = [
    [kid !== undefined && ["RS256", "ES256"].includes(alg), "The subject token's header is not supported."],
    [iss === issuer, `The issuer in ID Token ${String(iss)} does not match the expected ones: ${issuer}.`],
    [aud === audience, `The audience in ID Token ${String(aud)} does not match the expected audience.`],
    [exp * 1_000 >= Date.now(), `ID Token issued at ${iat} is stale to sign-in.`],
    [iat * 1_000 <= Date.now() + 5_000, `ID Token issued at ${iat} is used too early.`],
  ];
  const broken = checks.find(([holds]) => !holds);
  if (broken !== undefined) refuse("invalid_grant", broken[1]);
  try {
    const verify = { issuer, audience, algorithms: ["RS256", "ES256"], requiredClaims: ["sub", "iat", "exp"] };
    return (await jwtVerify(token, createLocalJWKSet(jwks), verify)).payload;
  } catch {
    return refuse("invalid_grant", "Invalid JWT signature: no signing key of the provider fits.");
  }
}

const rule = z.strictObject({
  availableResource: z.string().regex(/^\/\/storage\.googleapis\.com\/projects\/_\/buckets\/[a-z0-9_.-]+$/),
  availablePermissions: z.array(z.string().regex(/^inRole:(?:roles|projects|organizations)\//)).min(1),
  availabilityCondition: z
    .strictObject({
      title: z.string().optional(),
      expression: z
        .string()
        .max(2_048)
        .refine((text) => objectsOf(text) !== undefined),
    })
    .optional(),
});
const boundaries = z.strictObject({ accessBoundary: z.strictObject({ accessBoundaryRules: z.array(rule).min(1).max(10) }) });

function downscoped({ tokens }: StsOptions, subject: string, { audience, scope, options = "" }: Params): Issued {
  if (audience !== undefined || scope !== undefined)
    refuse("invalid_request", "audience and scope cannot stand beside an access boundary.");
  const source = tokens.living(subject) ?? refuse("invalid_grant", "The subject token is unknown or has expired.");
  if (source.kind !== "access" || !source.scopes.includes(everything))
    refuse("invalid_grant", "The subject token cannot be restricted by an access boundary.");
  if (options.length > 2_048) refuse("invalid_request", "The access boundary is too long.");
  const read = boundaries.safeParse(jsonOf(options));
  if (!read.success) refuse("invalid_request", "Invalid access boundary.");
  const rules: readonly Rule[] = read.data.accessBoundary.accessBoundaryRules.map(({ availabilityCondition, ...others }) =>
    availabilityCondition === undefined
      ? others
      : { ...others, availabilityCondition: { expression: availabilityCondition.expression } },
  );
  const { token: _, ...same } = source;
  return tokens.give({ ...same, kind: "downscoped", boundary: rules });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The two conditions of CEL that the stand-in understands; any other is refused, never ignored. */
export function objectsOf(expression: string): ((name: string) => boolean) | undefined {
  const [, prefix] = /^resource\.name\.startsWith\('([^'"\\]*)'\)$/.exec(expression) ?? [];
  if (prefix !== undefined) return (name) => name.startsWith(prefix);
  const [, whole] = /^resource\.name == '([^'"\\]*)'$/.exec(expression) ?? [];
  return whole === undefined ? undefined : (name) => name === whole;
}
