import { z } from "zod";
import { duration } from "../../duration.ts";
import { BrokerError } from "../../errors.ts";
import { day, minute } from "../../time.ts";
import type { Preset } from "../presets/preset.ts";
import { presetNames, presets } from "../presets/presets.ts";
import { algorithms, type Profile } from "../profile.ts";
import { audienceFlaw } from "./audience.ts";
import { idsFlaws, idsOf, idsSchema } from "./ids.ts";
import { issuerUrl, urlFlaw } from "./issuer-url.ts";
import { keySource, keysFlaws, sourceSchema } from "./key-source.ts";
import { trustBy, trustRules } from "./trust-rules.ts";

const audience = z.string().regex(/^[\x21-\x7e]{1,256}$/, "an audience is one exact string of printable ASCII without blanks");

const hold = duration.refine((span) => span <= day, "a new key waits 24h at most");

/** One issuer. `url` is what `iss` must be, byte for byte; where its preset has a usual one, it may be left out. */
const issuerSchema = z
  .strictObject({
    preset: z.enum(presetNames).default("generic"),
    url: z.string().max(512).optional(),
    audience,
    algorithms: z.array(z.enum(algorithms)).min(1).optional(),
    type: z.enum(["JWT", "at+jwt"]).optional(),
    max_size: z.int().min(1024).max(16_384).optional(),
    max_lifetime: duration.refine((span) => span <= day, "no token may live longer than 24h").optional(),
    max_age: duration.refine((span) => span <= day, "no token may be older than 24h").optional(),
    skew: duration.refine((span) => span <= 60_000, "a clock may be wrong by 60s at most").prefault("30s"),
    ...idsSchema,
    jti: z.enum(["required", "absent"]).optional(),
    ...sourceSchema,
    hold: z.preprocess((written) => (written === "0s" ? undefined : written), hold.optional()),
    fresh: duration.refine((span) => span >= minute && span <= day, "a fresh token is asked for every 1m to 24h").optional(),
    trust: trustRules.optional(),
  })
  .superRefine((issuer, context) => {
    for (const [key, message] of flawsOf(issuer)) context.addIssue({ code: "custom", path: [key], message });
  });

type IssuerConfig = z.output<typeof issuerSchema>;
type Flaw = readonly [key: string, message: string];

/** The part `issuers:` of mayfly.yaml. Two names for one issuer do not load: its keys would belong to both. */
export const issuersSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, "a name is lower case letters, digits and '-'"), issuerSchema)
  .refine((issuers) => Object.keys(issuers).length > 0, "name at least one issuer")
  .refine((issuers) => {
    const urls = Object.values(issuers).map(issuerUrl);
    return new Set(urls).size === urls.length;
  }, "two issuers have the same url");

export type IssuersConfig = z.output<typeof issuersSchema>;

function flawsOf(issuer: IssuerConfig): readonly Flaw[] {
  const flaws: (readonly [string, string | undefined])[] = [
    ["url", urlFlaw(issuer)],
    ["audience", audienceFlaw(issuer)],
    ["trust", trustFlaw(issuer)],
    ["fresh", freshFlaw(issuer)],
    ...idsFlaws(issuer),
    ...keysFlaws({ ...issuer, algorithms: issuer.algorithms ?? presets[issuer.preset].algorithms }),
  ];
  return flaws.flatMap(([key, message]) => (message === undefined ? [] : [[key, message] as const]));
}

function trustFlaw({ preset, trust }: IssuerConfig): string | undefined {
  if (trust === undefined || presets[preset].trust === undefined) return undefined;
  return `the ${preset} preset derives trust from the token's own claims`;
}

/** Else every long run would be ended by a demand that nobody can meet. */
function freshFlaw({ preset, fresh }: IssuerConfig): string | undefined {
  if (fresh === undefined || !presets[preset].oneToken) return undefined;
  return `a job of ${preset} has one token for as long as it runs, and could never bring another`;
}

/** `readText` reads certificate authorities, here and never later; key and bearer files are read whenever keys are. */
export function compileProfiles(issuers: IssuersConfig, readText: (path: string) => string): readonly Profile[] {
  return Object.entries(issuers).map(([name, issuer]) => compileProfile(name, issuer, readText));
}

function compileProfile(name: string, issuer: IssuerConfig, readText: (path: string) => string): Profile {
  const preset: Preset = presets[issuer.preset];
  const maxLifetime = issuer.max_lifetime ?? preset.maxLifetime;
  return {
    name,
    preset: issuer.preset,
    issuer: issuerUrl(issuer),
    chosenBy: preset.chosenBy,
    audience: issuer.audience,
    algorithms: issuer.algorithms ?? preset.algorithms,
    type: issuer.type ?? preset.type,
    header: preset.header,
    maxSize: issuer.max_size ?? preset.maxSize,
    maxLifetime,
    maxAge: issuer.max_age ?? maxLifetime,
    skew: issuer.skew,
    ...idsOf(issuer),
    text: preset.text,
    nested: preset.nested,
    jti: issuer.jti ?? preset.jti,
    trust: issuer.trust === undefined ? (preset.trust ?? (() => "unknown")) : trustBy(issuer.trust),
    refuses: preset.refuses,
    fresh: issuer.fresh,
    keys: keySource(issuer, (path) => readAuthority(name, path, readText)),
    keyUse: preset.keyUse,
    hold: issuer.hold ?? 0,
  };
}

function readAuthority(name: string, path: string, readText: (path: string) => string): string {
  try {
    return readText(path);
  } catch (cause) {
    throw new BrokerError("config-invalid", `issuers.${name}.ca: ${path} cannot be read`, {
      hint: "name a file that the broker can read",
      cause,
    });
  }
}
