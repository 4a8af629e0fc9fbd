import type { Instant } from "../time.ts";
import { bare } from "./bare.ts";
import { identityOf } from "./believe.ts";
import { readClaims } from "./claims.ts";
import type { Identity } from "./identity.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { entraApplication } from "./presets/azure-devops-entra.ts";
import type { PresetName } from "./presets/presets.ts";
import type { Profile } from "./profile.ts";
import { matterOf, rules } from "./rules.ts";

/**
 * Who a token with these claims would be, by the verifier's own rules; throws what it would be refused with. Signature and times are not
 * looked at, and what only a signed token has may be left out, since nobody is believed here.
 */
export function supposedIdentity(claims: JsonObject, profile: Profile, now: Instant): Identity {
  const at = new Date(now);
  const seconds = Math.floor(now / 1_000);
  const [alg = "RS256"] = profile.algorithms;
  const whole = bare(Object.entries({ aud: profile.audience, iat: seconds, exp: seconds + 60, jti: "supposed", ...claims }));
  const header = { alg, kid: "", typ: "JWT", others: [] };
  const matter = matterOf({ header, claims: whole, signingInput: "", compact: "" }, profile);
  for (const { name, check } of rules) if (name !== "times") check(matter, at);
  return identityOf(matter);
}

/** What a token of this issuer always says and these claims do not: the names. */
export function lackedClaims(claims: JsonObject, profile: Profile): readonly string[] {
  const { written } = readClaims(claims, profile);
  return [...new Set(["sub", ...profile.required])].filter((name) => (written[name] ?? null) === null);
}

/** What a claim is that a policy test leaves out and the preset requires. No id, no branch and no event is called so. */
export const unspecified = "unspecified";

/**
 * The claims of a policy test as a token has them. What the preset requires and the test leaves out is `unspecified`, so that a test names
 * only what it is about; null takes a claim away, even a required one. A claim inside an object is written by its believed name.
 */
export function supposedClaims(said: JsonObject, profile: Profile): JsonObject {
  const required = Object.fromEntries(profile.required.map((name) => [name, unspecified]));
  const plain: JsonObject = { iss: profile.issuer, sub: unspecified, ...required };
  const formed = forms.get(profile.preset)?.({ ...plain, ...said }, profile.issuer) ?? {};
  const claims = Object.entries({ ...plain, ...formed, ...said }).filter(([, value]) => value !== null);
  const inside = profile.nested.flatMap(({ path, as }) =>
    claims.flatMap(([name, value]) => (name === as ? [{ path, value }] : [])),
  );
  const top = claims.filter(([name]) => !profile.nested.some(({ as }) => as === name));
  return inside.reduce(placed, bare(top));
}

/** The object with one more member, however deep it stands. */
function placed(
  object: JsonObject,
  { path: [name = "", ...rest], value }: { path: readonly string[]; value: Json },
): JsonObject {
  const there = object[name];
  const member = rest.length === 0 ? value : placed(isObject(there) ? there : bare(), { path: rest, value });
  return bare([...Object.entries(object), [name, member]]);
}

type Form = (claims: JsonObject, issuer: string) => JsonObject;

/** Where a preset refuses tokens whose claims do not agree with each other, those that agree. */
const forms: ReadonlyMap<string, Form> = new Map<PresetName, Form>([
  [
    "circleci",
    (claims, issuer) => ({
      sub: `org/${lastPart(issuer)}/project/${textOf(claims, "oidc.circleci.com/project-id")}/user/${unspecified}`,
      "oidc.circleci.com/ssh-rerun": false,
    }),
  ],
  ["azure-devops", (_, issuer) => ({ sub: `p://${unspecified}`, org_id: lastPart(issuer) })],
  ["azure-devops-entra", () => ({ sub: someConnection, azp: entraApplication.id })],
  [
    "kubernetes",
    (claims) => ({
      sub: `system:serviceaccount:${textOf(claims, "kubernetes.io/namespace")}:${textOf(claims, "kubernetes.io/serviceaccount/name")}`,
    }),
  ],
  ["spiffe", (_, issuer) => ({ sub: `${issuer}/${unspecified}` })],
]);

const nobody = "00000000-0000-0000-0000-000000000000";
const someConnection = `/eid1/c/pub/t/${"A".repeat(22)}/a/${entraApplication.encoded}/sc/${nobody}/${nobody}`;

function textOf(claims: JsonObject, name: string): string {
  const value = claims[name];
  return typeof value === "string" ? value : unspecified;
}

function lastPart(issuer: string): string {
  return issuer.split("/").at(-1) ?? "";
}
