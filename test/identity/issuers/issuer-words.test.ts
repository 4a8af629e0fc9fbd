import { globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { issuerWords } from "../../../src/identity/issuers/issuer-words.ts";
import { issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { type PresetName, presetNames, presets } from "../../../src/identity/presets/presets.ts";

const golden = z.object({
  preset: z.enum(presetNames),
  payload: z.record(z.string(), z.unknown()),
  cases: z.array(z.object({ expected: z.object({ trust: z.string().optional() }).optional() })),
});

const tokens = globSync("test/golden/tokens/*.json").map((file) => golden.parse(JSON.parse(readFileSync(file, "utf8"))));
const url: Partial<Record<PresetName, string>> = {
  circleci: "https://oidc.circleci.com/org/8f5d5a61-5b8e-4f6c-9d1f-2f6a3a1c9b11",
};

/** As a template may name it: objects and lists of them cannot be matched on, and what is believed of them has names of its own. */
function isMatchable(value: unknown): boolean {
  return Array.isArray(value) ? value.every((item) => typeof item === "string") : typeof value !== "object";
}

const written = (preset: PresetName) => ({ preset, required: [], ...(url[preset] === undefined ? {} : { url: url[preset] }) });
const isKnown = (claim: string, known: readonly string[]) =>
  known.some((name) => (name.endsWith("*") ? claim.startsWith(name.slice(0, -1)) : name === claim));

describe("what templates may say of an issuer", () => {
  it.each(tokens.map((token) => [token.preset, token] as const))(
    "knows every claim of a real token of %s",
    (preset, { payload }) => {
      const known = issuerWords({ one: { ...written(preset), url: "spiffe://example.org" } }).get("one")?.known;
      const claims = Object.entries(payload).flatMap(([claim, value]) => (isMatchable(value) ? [claim] : []));
      if (known === undefined) expect(["generic", "jenkins", "spiffe"]).toContain(preset);
      else expect(claims.filter((claim) => !isKnown(claim, known))).toEqual([]);
    },
  );

  it.each(tokens.map((token) => [token.preset, token] as const))(
    "knows what trust comes out as for %s",
    (preset, { cases }) => {
      const trusts = issuerWords({ one: { ...written(preset), url: "spiffe://example.org" } }).get("one")?.trusts ?? [];
      const seen = new Set(cases.flatMap(({ expected }) => expected?.trust ?? []));
      if (presets[preset].trust === undefined) return expect(trusts).toEqual(["unknown"]);
      expect([...seen].filter((trust) => !trusts.some((word) => word === trust))).toEqual([]);
      expect(seen.size).toBeGreaterThan(0);
    },
  );

  it.each(tokens.map((token) => [token.preset, token] as const))(
    "knows which claims of %s are lists",
    (preset, { payload }) => {
      const seen = Object.entries(payload).flatMap(([claim, value]) =>
        Array.isArray(value) && isMatchable(value) && claim !== "aud" ? [claim] : [],
      );
      if (presets[preset].known !== undefined)
        expect(seen.filter((claim) => !presets[preset].lists.includes(claim))).toEqual([]);
    },
  );

  it.each(presetNames.map((name) => [name]))("names only claims that %s sends", (name) => {
    const { known, names, identifying, lists } = presets[name];
    if (known !== undefined)
      expect([...names, ...identifying, ...lists].filter((claim) => claim !== "sub" && !isKnown(claim, known))).toEqual([]);
  });

  it("takes what mayfly.yaml says: ids of one's own, required claims, mapped trust", () => {
    const words = issuerWords(
      issuersSchema.parse({
        github: { preset: "github", audience: "mayfly", required: ["team"], workload: ["repository_id", "service"] },
        farm: {
          url: "https://ci.example.com",
          audience: "mayfly",
          workload: ["project"],
          job: ["job"],
          trust: { fork: { fork: true } },
        },
      }),
    );
    expect(words.get("github")).toMatchObject({ lists: [], sent: expect.arrayContaining(["team", "service", "event_name"]) });
    expect(words.get("farm")).toMatchObject({ lists: [], sent: ["project", "job"] });
    expect(words.get("github")?.known).toEqual(expect.arrayContaining(["team", "service", "sub", "repository_id"]));
    expect(words.get("github")).toMatchObject({
      workload: ["repository_id"],
      trusts: ["protected", "branch", "pull_request", "unknown"],
    });
    expect(words.get("farm")).toMatchObject({
      known: undefined,
      workload: ["project"],
      trusts: ["fork", "unknown"],
      preset: "generic",
    });
  });
});
