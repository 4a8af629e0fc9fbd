import type { Code } from "../../../src/errors.ts";
import { audience } from "../issuer.ts";
import { type BadToken, bad, badValues, named } from "./bad-token.ts";
import { genericToken, githubToken, issuers, without } from "./makers.ts";

const ofAnotherType = (good: string): readonly unknown[] => [7, true, null, [good, good], [[good]], {}, { toString: "x" }, ""];

/** Two of text are a list of audiences, though not ours; a number is an id, and then not the one that the template names. */
function codeOf(claim: string, value: unknown): Code {
  if (claim === "aud" && Array.isArray(value) && value[0] === value[1]) return "token-audience";
  if (["iss", "sub", "aud", "jti"].includes(claim)) return "token-malformed";
  return typeof value === "number" && ["ref", "event_name"].includes(claim) ? "no-match" : "token-claim";
}

const typedClaims = [
  "iss",
  "sub",
  "aud",
  "jti",
  "repository",
  "repository_id",
  "ref",
  "environment",
  "event_name",
  "job_workflow_ref",
];

const typed = typedClaims.flatMap((claim) =>
  ofAnotherType("x").flatMap((value) =>
    bad("J-12", codeOf(claim, value), { [`${claim} ${named(value)}`]: () => githubToken({ [claim]: value }) }),
  ),
);

const lacking = [
  ...bad("J-12", "token-claim", {
    "no sub": () => githubToken(without("sub")),
    "a sub with a star": () => githubToken({ sub: "repo:octo-org/*" }),
    "no jti where the issuer sets one": () => githubToken(without("jti")),
    "a jti of 300 characters": () => githubToken({ jti: "j".repeat(300) }),
    ...Object.fromEntries(
      ["repository_id", "run_id", "run_attempt", "ref", "event_name"].map((name) => [
        `no ${name}`,
        () => githubToken(without(name)),
      ]),
    ),
    "no project where it identifies": () => genericToken(without("project")),
    "a project that is a list": () => genericToken({ project: ["20"] }),
  }),
];

const audiences = [
  ...badValues(
    "J-13",
    "token-audience",
    [
      [audience, "https://other.example"],
      ["https://other.example", audience],
      [audience, audience],
      [],
      Array.from({ length: 100 }, () => audience),
      `${audience}/`,
      `${audience}.evil.test`,
      audience.slice(0, -1),
      audience.slice(1),
      audience.toUpperCase(),
      `${audience},https://other.example`,
      ` ${audience}`,
      "https://br\u043eker.example",
      "sts.amazonaws.com",
      "api://AzureADTokenExchange",
      undefined,
    ],
    (aud) => githubToken({ aud }),
  ),
  ...badValues(
    "J-13",
    "token-malformed",
    [[[audience]], [audience, 7], [audience, ""], [{ toString: audience }], Array.from({ length: 10_000 }, () => audience)],
    (aud) => githubToken({ aud }),
  ),
];

const { github } = issuers;

const issuerNames = badValues(
  "J-14",
  "token-issuer",
  [
    `${github}/`,
    github.toUpperCase(),
    `${github}:443`,
    "https://token.actions.githubusercontent.com@evil.test",
    `${github}.evil.test`,
    github.replace("//", "\\\\"),
    github.replace(".com", "\uff0ecom"),
    github.replace("token", "t\u043eken"),
    github.replace("token", "\u24e3oken"),
    github.replace("https://", "https:"),
    ` ${github}`,
    `${github} `,
    `${github}?x`,
    `${github}#x`,
    `${github}/..`,
    github.replace("https:", "http:"),
    `${github}.`,
    `${github}/octo-org`,
    "https://evil@token.actions.githubusercontent.com",
    github.replace("https://", ""),
    `${github}%2f`,
    "*",
    undefined,
  ],
  (iss) => githubToken({ iss }),
);

export const claimTokens: readonly BadToken[] = [
  ...typed,
  ...lacking,
  ...audiences,
  ...issuerNames,
  ...bad("J-14", "token-malformed", { "a tab behind it": () => githubToken({ iss: `${github}\t` }) }),
];
