import { z } from "zod";
import { BrokerError } from "../errors.ts";
import { duration } from "../time.ts";
import type { Trust } from "./identity.ts";
import { isPrivate } from "./network.ts";
import { presets } from "./presets.ts";
import { algorithms, type Claims, type KeySource, type Profile } from "./profile.ts";

const day = 86_400_000;

const claimName = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, "a claim's name is printable ASCII without blanks, at most 128 characters");
const claimNames = z.array(claimName).min(1).max(8);
const file = z.string().regex(/^\/[^\0]*$/, "write an absolute path");

/** Tokens made for these are handed to others by design: whoever receives one could present it here. */
const othersAudiences = ["sts.amazonaws.com", "api://AzureADTokenExchange"];

const audience = z
  .string()
  .regex(/^[\x21-\x7e]{1,256}$/, "an audience is one exact string of printable ASCII without blanks")
  .refine(
    (text) => !othersAudiences.includes(text),
    "tokens for this audience are handed to a cloud; choose one that only this broker has",
  );

/** Literal values only; the strings that CI systems write for booleans are strings here too. */
const claimValues = z.union([z.string().min(1), z.boolean(), z.array(z.string().min(1)).min(1)]);
const trustRule = z
  .record(claimName, claimValues)
  .refine((rule) => Object.keys(rule).length > 0, "name at least one claim: an empty rule would trust every token");

const trustRules = z.strictObject({
  fork: trustRule.optional(),
  pull_request: trustRule.optional(),
  protected: trustRule.optional(),
  branch: trustRule.optional(),
});

/** One issuer. `url` is what `iss` must be, byte for byte. */
const issuerSchema = z
  .strictObject({
    url: z.string().max(512),
    audience,
    preset: z.enum(["github", "generic"]).default("generic"),
    algorithms: z.array(z.enum(algorithms)).min(1).default(["RS256"]),
    type: z.enum(["JWT", "at+jwt"]).optional(),
    maxSize: z.int().min(1024).max(16_384).default(8192),
    maxLifetime: duration.refine((span) => span <= day, "no token may live longer than 24h").optional(),
    maxAge: duration.refine((span) => span <= day, "no token may be older than 24h").optional(),
    skew: duration.refine((span) => span <= 60_000, "a clock may be wrong by 60s at most").prefault("30s"),
    required: z.array(claimName).max(32).default([]),
    workload: claimNames.optional(),
    job: claimNames.optional(),
    jti: z.enum(["required", "absent"]).default("required"),
    jwks: z.union([z.literal("discovery"), z.strictObject({ file })]).default("discovery"),
    ca: file.optional(),
    allowPrivate: z.boolean().default(false),
    trust: trustRules.optional(),
  })
  .superRefine((issuer, context) => {
    const complain = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
    const flaw = urlFlaw(issuer.url, issuer.allowPrivate);
    if (flaw !== undefined) complain("url", flaw);
    if (issuer.preset === "github" && issuer.trust !== undefined)
      complain("trust", "the github preset derives trust from GitHub's own claims");
    if (issuer.preset !== "generic") return;
    if (issuer.workload === undefined) complain("workload", "name the claims whose ids say what asks, such as [project_id]");
    if (issuer.job === undefined) complain("job", "name the claims whose ids say which run asks, such as [job_id]");
  });

/** The part `issuers:` of mayfly.yaml. Two names for one issuer do not load: its keys would belong to both. */
export const issuersSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "a name is lower case letters, digits and '-'"), issuerSchema)
  .refine((issuers) => Object.keys(issuers).length > 0, "name at least one issuer")
  .refine((issuers) => {
    const urls = Object.values(issuers).map((issuer) => issuer.url);
    return new Set(urls).size === urls.length;
  }, "two issuers have the same url");

export type IssuersConfig = z.output<typeof issuersSchema>;
type IssuerConfig = z.output<typeof issuerSchema>;

function urlFlaw(text: string, allowPrivate: boolean): string | undefined {
  if (!URL.canParse(text)) return "write the issuer's URL exactly as its tokens have it in iss";
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  if ([username, password, search, hash].some((part) => part !== "")) return "an issuer's URL has no user, query or fragment";
  if (protocol !== "https:" && protocol !== "http:") return "an issuer is reached by https";
  if (allowPrivate) return undefined;
  if (protocol === "http:") return "plain http needs allowPrivate: true";
  return isPrivate(hostname.replace(/^\[|\]$/g, "")) ? "an issuer at a private address needs allowPrivate: true" : undefined;
}

/** By issuer: the claims that say whose job it is. A branch, an event or an audience is the same in everybody's tokens. */
export function identifyingClaims(issuers: IssuersConfig): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Object.entries(issuers).map(([name, { preset, workload = [] }]) => [name, [...workload, ...presets[preset].identifying]]),
  );
}

/** `readText` reads the files that the configuration names; it is called here and never later. */
export function compileProfiles(issuers: IssuersConfig, readText: (path: string) => string): readonly Profile[] {
  return Object.entries(issuers).map(([name, issuer]) => compileProfile(name, issuer, readText));
}

function compileProfile(name: string, issuer: IssuerConfig, readText: (path: string) => string): Profile {
  const preset = presets[issuer.preset];
  const maxLifetime = issuer.maxLifetime ?? preset.maxLifetime;
  const workload = issuer.workload ?? preset.workload;
  const job = issuer.job ?? preset.job;
  return {
    name,
    issuer: issuer.url,
    audience: issuer.audience,
    algorithms: issuer.algorithms,
    type: issuer.type ?? preset.type,
    header: preset.header,
    maxSize: issuer.maxSize,
    maxLifetime,
    maxAge: issuer.maxAge ?? maxLifetime,
    skew: issuer.skew,
    required: [...new Set([...preset.required, ...issuer.required, ...workload, ...job])],
    text: preset.text,
    workload,
    job,
    jti: issuer.jti,
    trust: issuer.trust === undefined ? preset.trust : trustBy(issuer.trust),
    keys: keySource(name, issuer, readText),
  };
}

function keySource(name: string, issuer: IssuerConfig, readText: (path: string) => string): KeySource {
  const read = (key: string, path: string): string => {
    try {
      return readText(path);
    } catch (cause) {
      throw new BrokerError("config-invalid", `issuers.${name}.${key}: ${path} cannot be read`, {
        hint: "name a file that the broker can read",
        cause,
      });
    }
  };
  if (issuer.jwks !== "discovery") return { kind: "file", text: read("jwks.file", issuer.jwks.file) };
  const authority = issuer.ca === undefined ? undefined : read("ca", issuer.ca);
  return { kind: "discovery", authority, allowPrivate: issuer.allowPrivate };
}

/** Caution first: a token that two rules fit gets the lower trust, but `protected` is read before the wider `branch`. */
const trustOrder = ["fork", "pull_request", "protected", "branch"] as const satisfies readonly Trust[];

function trustBy(rules: z.output<typeof trustRules>): (claims: Claims) => Trust {
  return (claims) => trustOrder.find((trust) => fits(rules[trust], claims)) ?? "unknown";
}

function fits(rule: z.output<typeof trustRule> | undefined, claims: Claims): boolean {
  if (rule === undefined) return false;
  return Object.entries(rule).every(([claim, accepted]) => {
    const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
    return Array.isArray(accepted) ? typeof value === "string" && accepted.includes(value) : value === accepted;
  });
}
