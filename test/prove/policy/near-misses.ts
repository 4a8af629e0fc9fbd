import type { Claim, Identity } from "../../../src/identity/identity.ts";
import { identityWith } from "./identities.ts";
import { loadSite } from "./loaded.ts";
import { misspellings } from "./misspelled.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";
import type { SitePolicy } from "./subject.ts";
import type { Written } from "./written.ts";

/** A way to say who may have it, one identity that may, and many that nearly may. */
interface Matcher {
  readonly name: string;
  /** Where it is not `ci`, whose claims are known. */
  readonly issuer?: "mesh";
  /** Beside the issuer and the id, which every one of these identities has. */
  readonly who: Written;
  readonly good: Identity;
  readonly bad: readonly Identity[];
}

const least = 60;
const main = "refs/heads/main";
const id = "519283746";

type Claims = Readonly<Record<string, Claim>>;

function having(claims: Claims, changes: Partial<Identity> = {}): Identity {
  return identityWith({ repository_id: id, team_id: id, ...claims }, changes);
}

function each(claim: string, values: readonly Claim[]): readonly Identity[] {
  return values.map((value) => having({ [claim]: value }));
}

/** What is no text at all, or a list in which the text is not an item. */
function otherShapes(text: string): readonly Claim[] {
  const shapes: readonly Claim[] = [
    true,
    false,
    0,
    1,
    -1,
    1.5,
    [],
    [""],
    [`${text} `],
    text.split("/"),
    [...text],
    [text.slice(0, 3), text.slice(3)],
    [`["${text}"]`],
  ];
  return shapes.filter((shape) => !(Array.isArray(shape) && shape.includes(text)));
}

function nearly(text: string): readonly Claim[] {
  return [...misspellings(text), ...otherShapes(text)];
}

/** The part of a glob that stands there in full, misspelled, with what fills its `*`; never so that it only fills another segment. */
function nearGlob(fixed: string, filling: string): readonly string[] {
  return misspellings(fixed)
    .filter((one) => !one.startsWith(`${fixed}/`) && !one.startsWith(`${fixed}:`))
    .map((one) => `${one}/${filling}`);
}

const winding = ["..", ".", "../main", "./x", "a/../../main", "x/..", "x/."];
const deeper = ["a/b", "a/", "/a", "a//b", "a:b", ":", "a/b/c", "//", "a:", ":a", "a/*", "a/**"];

const matchers: readonly Matcher[] = [
  { name: "literal text", who: { ref: main }, good: having({ ref: main }), bad: [having({}), ...each("ref", nearly(main))] },
  {
    name: "id",
    who: { actor_id: "1234567" },
    good: having({ actor_id: "1234567" }),
    bad: [having({}), ...each("actor_id", [...nearly("1234567"), 1_234_568, 123_456.7, -1_234_567, 12_345_670])],
  },
  {
    name: "list",
    who: { environment: ["staging", "production"] },
    good: having({ environment: "production" }),
    bad: [having({}), ...each("environment", [...nearly("production"), ...nearly("staging"), "staging,production"])],
  },
  {
    name: "boolean",
    issuer: "mesh",
    who: { email_verified: true },
    good: having({ email_verified: true }, { issuer: "mesh" }),
    bad: [undefined, false, 1, 0, [], ["true"], "true", ...misspellings("true")].map((email_verified) =>
      having(email_verified === undefined ? {} : { email_verified }, { issuer: "mesh" }),
    ),
  },
  {
    name: "text that says true",
    who: { ref_protected: "true" },
    good: having({ ref_protected: "true" }),
    bad: [having({}), ...each("ref_protected", [true, false, 1, [], ...misspellings("true").filter((one) => one !== "true")])],
  },
  {
    name: "empty text",
    who: { environment: "" },
    good: having({ environment: "" }),
    bad: [
      having({}),
      ...each("environment", [false, true, 0, [], [" "], ["", " "].slice(1)]),
      ...each(
        "environment",
        misspellings("production").filter((one) => one !== ""),
      ),
    ],
  },
  {
    name: "glob of one segment",
    who: { ref: "refs/heads/release/*" },
    good: having({ ref: "refs/heads/release/7" }),
    bad: [
      having({}),
      ...each("ref", nearGlob("refs/heads/release", "7")),
      ...each(
        "ref",
        [...winding, ...deeper].map((rest) => `refs/heads/release/${rest}`),
      ),
      ...each("ref", otherShapes("refs/heads/release")),
    ],
  },
  {
    name: "glob within a segment",
    who: { ref: "refs/heads/v*-stable" },
    good: having({ ref: "refs/heads/v12-stable" }),
    bad: [
      having({}),
      ...each(
        "ref",
        misspellings("-stable")
          .filter((one) => !one.endsWith("-stable"))
          .map((one) => `refs/heads/v12${one}`),
      ),
      ...each(
        "ref",
        misspellings("refs/heads/v")
          .filter((one) => !one.startsWith("refs/heads/v"))
          .map((one) => `${one}12-stable`),
      ),
      ...each(
        "ref",
        ["/", ":", "1/2", "1:2", "/../"].map((filling) => `refs/heads/v${filling}-stable`),
      ),
      ...each("ref", otherShapes("refs/heads/v")),
    ],
  },
  {
    name: "glob that crosses at its end",
    who: { ref: "refs/heads/release/**" },
    good: having({ ref: "refs/heads/release/7/hotfix/1" }),
    bad: [
      having({}),
      ...each("ref", ["refs/heads/release", ...nearGlob("refs/heads/release", "7/hotfix/1")]),
      ...each(
        "ref",
        winding.map((rest) => `refs/heads/release/${rest}`),
      ),
      ...each("ref", otherShapes("refs/heads/release")),
    ],
  },
  {
    name: "not",
    who: { not: { environment: "production" } },
    good: having({ environment: "staging" }),
    bad: each("environment", [
      "production",
      ...misspellings("staging").map((other) => [other, "production"]),
      ["production"],
      ["", "production", "staging"],
    ]),
  },
  {
    name: "not, with a glob",
    who: { not: { ref: "refs/heads/attic/**" } },
    good: having({ ref: "refs/heads/main" }),
    bad: each(
      "ref",
      [...misspellings("x"), ...winding, ...deeper].map((rest) => `refs/heads/attic/${rest}`),
    ),
  },
  {
    name: "absent",
    who: { absent: "base_ref" },
    good: having({}),
    bad: each("base_ref", [...nearly("main"), "main"]),
  },
  {
    name: "any",
    who: {
      any: [
        { event_name: "push", environment: "staging" },
        { event_name: "workflow_dispatch", actor_id: "1001", absent: "base_ref" },
      ],
    },
    good: having({ event_name: "workflow_dispatch", actor_id: "1001" }),
    bad: [
      having({}),
      having({ event_name: "push" }),
      having({ event_name: "push", actor_id: "1001" }),
      having({ event_name: "workflow_dispatch", environment: "staging" }),
      having({ environment: "staging", actor_id: "1001" }),
      having({ event_name: "workflow_dispatch", actor_id: "1001", base_ref: "" }),
      ...nearly("push").map((event_name) => having({ event_name, environment: "staging" })),
      ...nearly("1001").map((actor_id) => having({ event_name: "workflow_dispatch", actor_id })),
    ],
  },
  {
    name: "trust",
    who: { trust: "protected" },
    good: having({}, { trust: "protected" }),
    bad: [
      ...(["branch", "pull_request", "fork", "unknown"] as const).map((trust) => having({ trust: "protected" }, { trust })),
      ...nearly("protected").map((trust) => having({ trust }, { trust: "branch" })),
    ],
  },
  {
    name: "issuer",
    who: { ref: main },
    good: having({ ref: main }),
    bad: ["mesh", ...misspellings("ci")].map((issuer) => having({ ref: main, issuer: "ci" }, { issuer })),
  },
];

/** Every near miss is denied, with and without the template's name, and what it nearly is is granted. */
export function nearMisses(trial: Trial): Found {
  const wrong = new Wrong(trial);
  let tried = 0;
  for (const { name, who, issuer, good, bad } of matchers) {
    const policy = policyFor(issuer ?? "ci", who, trial);
    if (!isGranted(trial, policy, good)) wrong.add("controls not granted", () => name);
    if (bad.length < least) wrong.add("kinds with too few near misses", () => `${name}: ${bad.length}`);
    for (const identity of bad) {
      tried += 1;
      if (isGranted(trial, policy, identity))
        wrong.add("near misses granted", () => `${name}: ${JSON.stringify(identity.claims)}`);
    }
  }
  const fewest = Math.min(...matchers.map(({ bad }) => bad.length));
  return {
    claim: `${inWords(tried)} near misses of ${matchers.length} matcher kinds, at least ${fewest} each, ${wrong.count("near misses granted")} granted, ${matchers.length - wrong.count("controls not granted")} of ${matchers.length} controls granted`,
    held: wrong.count() === 0,
    figures: { nearMisses: tried, nearMissesGranted: wrong.count("near misses granted"), matcherKinds: matchers.length },
  };
}

function policyFor(issuer: "ci" | "mesh", who: Written, { subject, random }: Trial): SitePolicy {
  const whole = { issuer, [issuer === "ci" ? "repository_id" : "team_id"]: id, ...who };
  const content = { version: 1, template: "near", owner: "team-shop", who: whole, sandbox: { timeout: "5m" } };
  const loaded = loadSite({ files: [{ file: "near.yaml", content }] }, subject, random);
  if (loaded.kind === "policy") return loaded.policy;
  throw new Error(loaded.problems.map(({ message }) => message).join("\n"));
}

function isGranted({ subject }: Trial, policy: SitePolicy, identity: Identity): boolean {
  const ask = { identity, step: undefined, command: ["true"], now: 1_795_000_000_000 };
  return [undefined, "near"].some((template) => subject.decide(policy, { ...ask, template }).kind === "granted");
}
