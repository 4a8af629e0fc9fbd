import { z } from "zod";
import { inspectKey } from "../keys/hygiene.ts";
import { type PresetName, presets } from "../presets/presets.ts";
import type { Algorithm, KeySource, Reach } from "../profile.ts";
import { privacyFlaw } from "./issuer-url.ts";

const file = z.string().regex(/^\/[^\0]*$/, "write an absolute path");

const writtenKey = z.record(z.string(), z.json());

const jwks = z.union(
  [
    z.literal("discovery"),
    z.strictObject({ file }),
    z.strictObject({ url: z.url({ protocol: /^https?$/, error: "write the key set's URL" }).max(512) }),
    z.strictObject({ keys: z.array(writtenKey).min(1).max(100) }),
  ],
  "write discovery, { file: /PATH }, { url: https://URL } or { keys: [JWK, …] }",
);

/** The keys of an issuer's configuration that say where its keys are. */
export const sourceSchema = {
  jwks: jwks.default("discovery"),
  ca: file.optional(),
  bearer: file.optional(),
  allow_private: z.boolean().default(false),
};

type WrittenKey = z.output<typeof writtenKey>;

interface WrittenSource {
  readonly preset: PresetName;
  readonly url?: string | undefined;
  readonly algorithms: readonly Algorithm[];
  readonly jwks: z.output<typeof jwks>;
  readonly ca?: string | undefined;
  readonly bearer?: string | undefined;
  readonly allow_private: boolean;
}

/** Each key with what is wrong with it, or undefined. */
export function keysFlaws(written: WrittenSource): readonly (readonly [string, string | undefined])[] {
  const reached = written.jwks === "discovery" || "url" in written.jwks;
  const idle = (path: string | undefined): string | undefined =>
    path === undefined || reached ? undefined : "only keys that are read over the network need this";
  return [
    ["jwks", jwksFlaw(written)],
    ["ca", idle(written.ca)],
    ["bearer", idle(written.bearer) ?? bearerFlaw(written)],
  ];
}

function jwksFlaw(written: WrittenSource): string | undefined {
  if (written.jwks === "discovery")
    return presets[written.preset].chosenBy === "trust-domain"
      ? "a trust domain has no discovery: name its bundle, { url: https://URL } or { file: /PATH }"
      : undefined;
  if ("keys" in written.jwks) return inlineFlaw(written.jwks.keys, written);
  if (!("url" in written.jwks)) return undefined;
  const { username, password, hash } = new URL(written.jwks.url);
  if ([username, password, hash].some((part) => part !== "")) return "a key set's URL has no user or fragment";
  return privacyFlaw(written.jwks.url, written.allow_private, "a key set");
}

/** Written out, a key is looked at once, and here: no later set will mend it. */
function inlineFlaw(keys: readonly WrittenKey[], { preset, algorithms }: WrittenSource): string | undefined {
  const { keyUse } = presets[preset];
  const inspected = keys.map((key) => inspectKey(key, { algorithms, keyUse }));
  const position = inspected.findIndex(({ kind }, index) => kind === "unfit" || Object.hasOwn(keys[index] ?? {}, "d"));
  const unfit = inspected[position];
  if (unfit !== undefined) return `key ${position + 1}: ${unfit.kind === "unfit" ? unfit.why : "a private one"}`;
  return inspected.some(({ kind }) => kind === "usable") ? undefined : "none of these keys can verify what this issuer signs";
}

function bearerFlaw({ bearer, jwks: source, url = "" }: WrittenSource): string | undefined {
  const address = source === "discovery" ? url : "url" in source ? source.url : "";
  return bearer !== undefined && address.startsWith("http:") ? "a bearer token is never sent over plain http" : undefined;
}

export function keySource(written: Omit<WrittenSource, "algorithms">, readAuthority: (path: string) => string): KeySource {
  const { jwks: source, ca, bearer, allow_private: allowPrivate } = written;
  const reach = (): Reach => ({ authority: ca === undefined ? undefined : readAuthority(ca), allowPrivate, bearer });
  if (source === "discovery") return { kind: "discovery", ...reach() };
  if ("url" in source) return { kind: "url", url: source.url, ...reach() };
  if ("file" in source) return { kind: "file", path: source.file };
  return { kind: "inline", text: JSON.stringify({ keys: source.keys }) };
}
