import { pick, type Random } from "../identity/chance.ts";
import { between, chance, some } from "./chance.ts";
import type { Plain, Written } from "./written.ts";

interface Known {
  readonly values: readonly (string | boolean)[];
  readonly globs: readonly string[];
}

const ref: Known = {
  values: ["refs/heads/main", "refs/heads/release/1", "refs/heads/release/1/hotfix", "refs/heads/main-evil", "refs/tags/v1"],
  globs: [
    "refs/heads/*",
    "refs/heads/release/*",
    "refs/heads/release/**",
    "refs/**",
    "refs/*/main",
    "refs/heads/*-evil",
    "*/heads/m*n",
  ],
};
const environment: Known = { values: ["production", "staging", "Production", ""], globs: ["prod*", "*ing"] };

/** Few values, so that templates and identities meet often, and all of them close to another one. */
const ci: Readonly<Record<string, Known>> = {
  ref,
  environment,
  event_name: {
    values: ["push", "workflow_dispatch", "pull_request_target", "pull_request", "schedule"],
    globs: ["pull_request*"],
  },
  actor_id: { values: ["1001", "1002"], globs: ["100*"] },
  ref_type: { values: ["branch", "tag"], globs: [] },
  ref_protected: { values: ["true", "false"], globs: [] },
  job_workflow_ref: {
    values: [
      "octo/shop/.github/workflows/release.yml@refs/heads/main",
      "octo/shop/.github/workflows/release.yml@refs/heads/dev",
    ],
    globs: ["octo/shop/.github/workflows/release.yml@refs/heads/*", "octo/shop/.github/workflows/**"],
  },
};

const mesh: Readonly<Record<string, Known>> = {
  ref,
  environment,
  email_verified: { values: [true, false], globs: [] },
  level: { values: ["3", "30", "true"], globs: ["3*"] },
  groups: { values: ["deployers", "readers", "team:a:deployers"], globs: ["team:*:deployers", "team:**"] },
  stage: { values: ["released", "open"], globs: ["rel*"] },
};

const ids: Readonly<Record<string, readonly string[]>> = {
  repository_id: ["519283746", "519283747", "42"],
  repository_owner_id: ["4242", "777"],
  team_id: ["t-1", "t-2", "t-10"],
};

const issuers = {
  ci: { claims: ci, ids: ["repository_id", "repository_owner_id"] },
  mesh: { claims: mesh, ids: ["team_id"] },
} as const;

export type IssuerName = keyof typeof issuers;
export const issuerNames = ["ci", "mesh"] as const satisfies readonly IssuerName[];

/** What any claim may be, over both issuers. */
export const vocabulary: ReadonlyMap<string, Known> = new Map([
  ...Object.entries(ids).map(([claim, values]): [string, Known] => [claim, { values, globs: [] }]),
  ...Object.entries(ci),
  ...Object.entries(mesh),
]);

/** What the trust of each issuer's tokens can come out as. */
const trusts: Readonly<Record<IssuerName, readonly string[]>> = {
  ci: ["protected", "branch", "pull_request"],
  mesh: ["protected", "branch", "pull_request", "fork"],
};

/** A whole `who`: its issuer, whose job it is, and some conditions, each of which the language knows. */
export function randomWho(issuer: IssuerName, random: Random): Written {
  const id = binding(issuer, random);
  const inAny = chance(random, 0.2);
  const lines = conditions(issuer, random);
  return {
    issuer,
    ...(inAny ? {} : id),
    ...(chance(random, 0.4) ? { trust: oneOrMore(random, trusts[issuer]) } : {}),
    ...lines,
    ...(inAny || chance(random, 0.15) ? { any: alternatives(issuer, random, { bind: inAny, taken: Object.keys(lines) }) } : {}),
  };
}

/** Lines that stand beside others and need not say whose job it is, about none of the claims of `taken`. */
export function conditions(issuer: IssuerName, random: Random, taken: readonly string[] = []): Written {
  const { claims } = issuers[issuer];
  const free = Object.keys(claims).filter((claim) => !taken.includes(claim));
  const asked = some(random, free, [0, 2]);
  // Now and then about a claim that is asked for as well.
  const others = chance(random, 0.1) ? free : free.filter((claim) => !asked.includes(claim));
  const [refused, gone] = [some(random, others, [0, 2]), some(random, others, [0, 1])];
  const not = Object.fromEntries(refused.map((claim) => [claim, values(claims[claim], random)]));
  return {
    ...Object.fromEntries(asked.map((claim) => [claim, values(claims[claim], random)])),
    ...(chance(random, 0.4) && refused.length > 0 ? { not } : {}),
    ...(chance(random, 0.2) && gone.length > 0 ? { absent: chance(random, 0.5) ? (gone[0] ?? "") : gone } : {}),
  };
}

function binding(issuer: IssuerName, random: Random): Written {
  const claim = pick(random, issuers[issuer].ids);
  return { [claim]: oneOrMore(random, ids[claim] ?? []) };
}

function alternatives(
  issuer: IssuerName,
  random: Random,
  { bind, taken }: { readonly bind: boolean; readonly taken: readonly string[] },
): readonly Plain[] {
  return Array.from({ length: between(random, 1, 3) }, () => {
    const made = { ...(bind ? binding(issuer, random) : {}), ...conditions(issuer, random, taken) };
    return Object.keys(made).length > 0 ? made : binding(issuer, random);
  });
}

function values({ values: known, globs }: Known = { values: ["x"], globs: [] }, random: Random): Plain {
  if (globs.length > 0 && chance(random, 0.3)) return oneOrMore(random, [...globs, pick(random, known)]);
  return oneOrMore(random, known);
}

function oneOrMore<T extends Plain>(random: Random, from: readonly T[]): Plain {
  return chance(random, 0.6) ? pick(random, from) : some(random, from, [1, 3]);
}
