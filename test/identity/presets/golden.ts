import { readdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { type Code, codes } from "../../../src/errors.ts";
import { presetNames } from "../../../src/identity/presets/presets.ts";
import { ecKey, headerOf, rsaKey, signed, type TestKey } from "../issuer.ts";

const folder = new URL("../../golden/tokens/", import.meta.url);

const members = z.record(z.string(), z.unknown());
const code = z.string().refine((text): text is Code => Object.hasOwn(codes, text));

const accepted = z.strictObject({
  trust: z.enum(["protected", "branch", "pull_request", "fork", "unknown"]),
  workload: z.string(),
  job: z.string(),
  /** Some of what is believed. */
  claims: members.default({}),
});

/** `detail` is what the operator reads. */
const refused = z.strictObject({ refused: code, detail: z.string().optional() });

/** One issuer: its vendor's sample, and what becomes of it. */
const fileSchema = z.strictObject({
  preset: z.enum(presetNames),
  source: z.string(),
  /** Its part of mayfly.yaml, but for `preset` and `jwks`. */
  config: members,
  alg: z.enum(["RS256", "ES256"]),
  /** Beside `alg` and `kid`. */
  header: members,
  payload: members,
  cases: z.array(
    z.strictObject({
      name: z.string(),
      change: members.default({}),
      without: z.array(z.string()).default([]),
      expected: z.union([accepted, refused]),
    }),
  ),
});

export interface GoldenCase {
  /** The issuer's name in mayfly.yaml, with which its workloads begin. */
  readonly issuer: string;
  readonly preset: (typeof presetNames)[number];
  readonly name: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly expected: z.output<typeof accepted> | z.output<typeof refused>;
  /** The issuer's part of mayfly.yaml, with the keys that `sign` signs with. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The token, with other claims than the file says where some are given; undefined leaves one out. */
  readonly sign: (changes?: Readonly<Record<string, unknown>>) => string;
}

/** When the files' tokens were issued: what the tests' clock says, in seconds. */
const issuedAt = 1_790_000_000;

/** Every case of every file, with keys made for this call. `now` (milliseconds) is when their tokens are issued. */
export function goldenCases(now = issuedAt * 1000): readonly GoldenCase[] {
  const later = Math.floor(now / 1000) - issuedAt;
  const keys = { RS256: rsaKey("golden"), ES256: ecKey("golden") };
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => casesOf(file, later, keys));
}

function casesOf(file: string, later: number, keys: Readonly<Record<"RS256" | "ES256", TestKey>>): readonly GoldenCase[] {
  const { preset, config, alg, header, payload, cases } = fileSchema.parse(
    JSON.parse(readFileSync(new URL(file, folder), "utf8")),
  );
  const use = preset === "spiffe" ? "jwt-svid" : "sig";
  return cases.map(({ name, change, without, expected }, index) => {
    const changed = Object.entries({ ...payload, ...change }).filter(([claim]) => !without.includes(claim));
    const claims = Object.fromEntries(changed.map(([claim, value]) => [claim, shifted(claim, value, { later, index })]));
    return {
      issuer: file.replace(/\.json$/, ""),
      preset,
      name,
      payload: claims,
      expected,
      config: { preset, ...config, jwks: { keys: [{ ...keys[alg].jwk, use }] } },
      sign: (changes = {}) =>
        signed(keys[alg], { ...headerOf(keys[alg]), typ: undefined, ...header }, { ...claims, ...changes }),
    };
  });
}

/** Times go on with the clock, and no two cases are one token. */
function shifted(claim: string, value: unknown, { later, index }: { readonly later: number; readonly index: number }): unknown {
  if (["iat", "nbf", "exp"].includes(claim) && typeof value === "number") return value + later;
  return claim === "jti" ? `${String(value)}-${index}` : value;
}
