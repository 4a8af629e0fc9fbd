import { generateKeyPairSync, randomUUID } from "node:crypto";
import { exportJWK, type JWK, SignJWT } from "jose";
import { z } from "zod";
import { objectsOf } from "./google-sts.ts";
import { ApiError, everything, type Issued, type Rule, type Tokens } from "./google-tokens.ts";

/** One request, its token already looked up: undefined where there is none that lives. */
export interface Call {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
  readonly caller: Issued | undefined;
  readonly tokens: Tokens;
}

/** What a service account may do, and who may act as it. */
interface Account {
  /** Values of `attribute.grant` whose principals have roles/iam.workloadIdentityUser; `host` has roles/iam.serviceAccountTokenCreator. */
  readonly users: readonly string[];
  readonly buckets: Readonly<Record<string, "objectAdmin" | "objectViewer">>;
  readonly secrets: readonly string[];
  /** By constraints/iam.allowServiceAccountCredentialLifetimeExtension. */
  readonly mayLiveLong?: true;
  /** No service account of Google's: its tokens live twice as long as was asked. */
  readonly breaksItsWord?: true;
}

const project = "shop-prod";
export const address = (name: string): string => `${name}@${project}.iam.gserviceaccount.com`;

/** Of the tests' jobs. */
const grant = "deploy/production:github:519283746";

const buckets = { "shop-artifacts": "objectAdmin", "shop-other": "objectAdmin" } as const;
const accounts: Readonly<Record<string, Account>> = {
  [address("ci-deploy")]: { users: [grant, "host"], buckets, secrets: ["npm-519283746"] },
  [address("ci-reader")]: {
    users: [grant, "host"],
    buckets: {},
    secrets: ["npm-519283746", "registry", "binary"],
  },
  [address("ci-eternal")]: { users: [grant], buckets, secrets: [], breaksItsWord: true },
  [address("ci-nightly")]: { users: [grant], buckets, secrets: [], mayLiveLong: true },
  [address("ci-stranger")]: { users: ["other/template:github:519283746"], buckets, secrets: ["npm-519283746"] },
};

/** Who has roles/secretmanager.secretAccessor on it without any service account: a grant's principals, or the host. */
const direct: Readonly<Record<string, readonly string[]>> = { direct: [grant, "host"] };

const secrets: Readonly<Record<string, string | Uint8Array>> = {
  "npm-519283746": "npm_token-of-the-shop",
  registry: JSON.stringify({ username: "ci", password: "pw-of-the-registry", port: 5000 }),
  binary: Uint8Array.from({ length: 256 }, (_, index) => index),
  direct: "known-without-an-account",
  other: "somebody-elses",
};

const unauthenticated = (): ApiError => new ApiError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
const denied = (words: string): ApiError => new ApiError(403, "PERMISSION_DENIED", words);
const invalid = (words: string): ApiError => new ApiError(400, "INVALID_ARGUMENT", words);

const accessBody = z.strictObject({
  scope: z.array(z.url({ protocol: /^https$/ })).min(1),
  lifetime: z.string().regex(/^\d+s$/),
});
const idBody = z.strictObject({ audience: z.string().min(1), includeEmail: z.literal(true) });

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** The keys of Google's ID tokens. */
export async function idTokenKeys(): Promise<{ keys: JWK[] }> {
  return { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "google-1", alg: "RS256", use: "sig" }] };
}

/** Throws unless it holds. */
function must(holds: boolean, refusal: ApiError): void {
  if (!holds) throw refusal;
}

function known<T>(found: T | undefined, refusal: ApiError): T {
  if (found === undefined) throw refusal;
  return found;
}

const path = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):(generateAccessToken|generateIdToken)$/;

/** The IAM Credentials API; it is exact about what it takes. */
export async function iamCredentials({ method, url, body, caller, tokens }: Call): Promise<object> {
  const { kind, scopes, lease, grant } = known(caller, unauthenticated());
  const [, email = "", verb] = path.exec(url.pathname + url.search) ?? [];
  must(method === "POST" && verb !== undefined, new ApiError(404, "NOT_FOUND", "No such method."));
  const account = known(accounts[email], new ApiError(404, "NOT_FOUND", `Not found; Gaia id not found for email ${email}`));
  const may = ["pool", "host"].includes(kind) && scopes.includes(everything) && account.users.includes(who({ kind, grant }));
  must(may, denied("Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."));
  const asked: unknown = JSON.parse(body);
  const same = { principal: email, lease, grant };
  if (verb === "generateIdToken") {
    const { audience } = parsed(idBody, asked);
    const token = await idToken(email, audience);
    return { token: tokens.give({ ...same, kind: "id", scopes: [], until: Date.now() + 3_600_000 }, token).token };
  }
  const wanted = parsed(accessBody, asked);
  const until = Date.now() + lifeOf(account, wanted.lifetime) * 1_000;
  const { token } = tokens.give({ ...same, kind: "access", scopes: wanted.scope, until });
  return { accessToken: token, expireTime: new Date(until).toISOString() };
}

/** By whose roles a caller may act: its grant's, or the host's. */
function who({ kind, grant }: Pick<Issued, "kind" | "grant">): string {
  return kind === "host" ? "host" : (grant ?? "");
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body);
  if (!read.success) throw invalid("Request contains an invalid argument.");
  return read.data;
}

function lifeOf({ breaksItsWord, mayLiveLong }: Account, lifetime: string): number {
  const seconds = Number(lifetime.slice(0, -1)) * (breaksItsWord === true ? 2 : 1);
  must(seconds >= 1 && seconds <= (mayLiveLong === true ? 43_200 : 3_600), invalid("lifetime is out of range."));
  return seconds;
}

/** Google's have no `jti`: two of one second are the same text, which would tell nothing about who was given which. */
function idToken(email: string, audience: string): Promise<string> {
  return new SignJWT({ email, email_verified: true, azp: "1234567890", jti: randomUUID() })
    .setProtectedHeader({ alg: "RS256", kid: "google-1", typ: "JWT" })
    .setIssuer("https://accounts.google.com")
    .setSubject("1234567890")
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(keys.privateKey);
}

const versionPath = /^\/v1\/projects\/shop-prod\/(locations\/[^/]+\/)?secrets\/([^/]+)\/versions\/([^/:]+):access$/;

/** Secret Manager: each secret is there as a global and as a regional one. */
export function secretManager({ method, url, caller }: Call): object {
  const [, place = "", name = "", version = ""] = versionPath.exec(url.pathname) ?? [];
  const words = `Permission 'secretmanager.versions.access' denied for resource '${url.pathname}' (or it may not exist).`;
  must(method === "GET" && mayRead(known(caller, unauthenticated()), name), denied(words));
  const value = known(secrets[name], new ApiError(404, "NOT_FOUND", "Secret not found."));
  must(["latest", "7", "6"].includes(version), new ApiError(404, "NOT_FOUND", "Secret Version not found."));
  must(version !== "6", new ApiError(400, "FAILED_PRECONDITION", "Secret Version [6] is in DISABLED state."));
  const bytes = Buffer.from(value);
  return {
    name: `projects/123456789012/${place}secrets/${name}/versions/7`,
    payload: { data: bytes.toString("base64"), dataCrc32c: String(castagnoli(bytes)) },
  };
}

/** Its account's roles count, else its own. */
function mayRead(caller: Issued, name: string): boolean {
  if (!caller.scopes.includes(everything) || caller.kind === "downscoped") return false;
  return accounts[caller.principal]?.secrets.includes(name) ?? direct[name]?.includes(who(caller)) === true;
}

/** By its definition, a bit at a time with its polynomial unreflected: nothing in common with the code that is tested. */
function castagnoli(bytes: Uint8Array): number {
  const bits = [...bytes].flatMap((byte) => Array.from({ length: 8 }, (_, bit) => (byte >> bit) & 1));
  let register = 0xffffffffn;
  for (const bit of bits) {
    const top = (register >> 31n) & 1n;
    register = (register << 1n) & 0xffffffffn;
    if (top !== BigInt(bit)) register ^= 0x1edc6f41n;
  }
  const reflected = register.toString(2).padStart(32, "0").split("").toReversed().join("");
  return Number(BigInt(`0b${reflected}`) ^ 0xffffffffn);
}

const reading = ["devstorage.read_only", "devstorage.read_write", "devstorage.full_control", "cloud-platform"];

const objectPath = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/([^/]+))?$/;

/** Cloud Storage's JSON API, as far as to tell who may do what: by the account's role, the token's scopes, and its boundary. */
export function storage({ method, url, caller }: Call): object {
  const { principal, scopes, boundary } = known(caller, unauthenticated());
  const [, upload, bucket = "", encoded = ""] = objectPath.exec(url.pathname) ?? [];
  const name = upload === undefined ? decodeURIComponent(encoded) : String(url.searchParams.get("name"));
  const isRead = method === "GET" && upload === undefined;
  const may = (role = ""): boolean => role === "objectAdmin" || (isRead && role === "objectViewer");
  const suited = (isRead ? reading : reading.slice(1)).map((scope) => `https://www.googleapis.com/auth/${scope}`);
  const words = `${principal} does not have storage.objects access, or its token's boundary does not.`;
  must(may(accounts[principal]?.buckets[bucket]) && suited.some((scope) => scopes.includes(scope)), denied(words));
  must(boundary?.some((rule) => isWithin(rule, { bucket, name, may })) !== false, denied(words));
  return { kind: "storage#object", bucket, name };
}

interface Target {
  readonly bucket: string;
  readonly name: string;
  readonly may: (role: string) => boolean;
}

function isWithin(
  { availableResource, availablePermissions, availabilityCondition: when }: Rule,
  { bucket, name, may }: Target,
): boolean {
  return (
    availableResource === `//storage.googleapis.com/projects/_/buckets/${bucket}` &&
    availablePermissions.some((one) => may(one.replace("inRole:roles/storage.", ""))) &&
    (when === undefined || objectsOf(when.expression)?.(`projects/_/buckets/${bucket}/objects/${name}`) === true)
  );
}
