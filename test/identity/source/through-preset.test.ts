import { describe, expect, it } from "vitest";
import { BrokerError } from "../../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import type { Surroundings } from "../../../src/identity/source/finders.ts";
import { findToken, sourceOf } from "../../../src/identity/source/source.ts";
import { type System, systems } from "../../../src/identity/source/system.ts";
import { createVerifier } from "../../../src/identity/verify.ts";
import { Secret } from "../../../src/secret.ts";
import { now } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { type GoldenCase, goldenCases } from "../presets/golden.ts";

const cases = goldenCases(now);
const config = issuersSchema.parse(Object.fromEntries(cases.map(({ issuer, config: written }) => [issuer, written])));
const verifier = createVerifier({
  profiles: compileProfiles(config, () => ""),
  fetch: () => Promise.reject(new Error("nothing may be asked for")),
  readFile: () => Promise.reject(new Error("no file is named")),
  history: noHistory,
  clock: new ManualClock(now),
});

type Sign = GoldenCase["sign"];
type Vendor = (sign: Sign) => Partial<Surroundings>;

const environmentOf =
  (name: string, more: Readonly<Record<string, string>>): Vendor =>
  (sign) => ({ environment: { ...more, [name]: sign() } });

const answer = (body: string) => Promise.resolve({ status: 200, text: () => Promise.resolve(body) });

const fileAt =
  (place: string, environment: Readonly<Record<string, string>>): Vendor =>
  (sign) => ({
    environment,
    readFile: (path) => (path === place ? Promise.resolve(sign()) : Promise.reject(new Error("none"))),
  });

/** Both protocols are one: a token is for whom the query says, else for the repository's owner. */
const actions =
  (server: string, endpoint: string, more: Readonly<Record<string, string>>): Vendor =>
  (sign) => ({
    environment: {
      GITHUB_SERVER_URL: server,
      ACTIONS_ID_TOKEN_REQUEST_URL: `${endpoint}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-token",
      ...more,
    },
    fetch: (url) =>
      answer(JSON.stringify({ value: sign({ aud: new URL(url).searchParams.get("audience") ?? `${server}/octo-org` }) })),
  });

/** By whether a service connection is asked for, the token is one's or the other's. */
const azure =
  (withConnection: boolean, more: Readonly<Record<string, string>>): Vendor =>
  (sign) => ({
    environment: {
      TF_BUILD: "True",
      SYSTEM_OIDCREQUESTURI: "https://dev.azure.com/org/project/_apis/oidctoken",
      SYSTEM_ACCESSTOKEN: "t",
      ...more,
    },
    fetch: (url) => {
      const asked = new URL(url).searchParams.has("serviceConnectionId");
      return answer(JSON.stringify({ oidcToken: asked === withConnection ? sign() : sign({ sub: "sc://org/project/azure" }) }));
    },
  });

const after = (command: readonly string[], flag: string): string => command[command.indexOf(flag) + 1] ?? "";

/** Each as its vendor documents it: what a token has by itself, and what only when it is asked for. */
const vendors: Readonly<Record<System, Vendor>> = {
  github: actions("https://github.com", "https://pipelines.actions.githubusercontent.com", { GITHUB_ACTIONS: "true" }),
  forgejo: actions("https://forgejo.example.com", "https://forgejo.example.com/api/actions", { FORGEJO_ACTIONS: "true" }),
  gitlab: environmentOf("MAYFLY_ID_TOKEN", { GITLAB_CI: "true" }),
  buildkite: (sign) => ({
    environment: { BUILDKITE: "true" },
    spawn: (command) => {
      const asked = command.includes("--claim") ? after(command, "--claim").split(",") : [];
      const silent = ["organization_id", "pipeline_id"].filter((claim) => !asked.includes(claim));
      const aud = command.includes("--audience") ? after(command, "--audience") : "https://buildkite.com/acme-inc";
      return Promise.resolve(sign({ aud, ...Object.fromEntries(silent.map((claim) => [claim, undefined])) }));
    },
  }),
  circleci: (sign) => ({
    environment: { CIRCLECI: "true", CIRCLE_OIDC_TOKEN_V2: sign({ aud: "5034460f-c7c4-4c43-9457-de07e2029e7b" }) },
    spawn: (command) => Promise.resolve(sign(JSON.parse(after(command, "--claims")) as Readonly<Record<string, unknown>>)),
  }),
  bitbucket: environmentOf("BITBUCKET_STEP_OIDC_TOKEN", { BITBUCKET_BUILD_NUMBER: "1" }),
  "azure-devops": azure(false, {}),
  "azure-devops-entra": azure(true, { MAYFLY_SERVICE_CONNECTION: "64171687-7a59-4fce-b2c8-823278dcf176" }),
  "hcp-terraform": environmentOf("TFC_WORKLOAD_IDENTITY_TOKEN_MAYFLY", { TFC_RUN_ID: "run-1" }),
  jenkins: environmentOf("MAYFLY_ID_TOKEN", { JENKINS_URL: "https://jenkins.example.com/" }),
  nomad: fileAt("/secrets/nomad_mayfly.jwt", { NOMAD_ALLOC_ID: "a" }),
  spiffe: (sign) => ({
    environment: { SPIFFE_ENDPOINT_SOCKET: "unix:///run/spire/agent.sock" },
    spawn: (command) => Promise.resolve(`token(spiffe://x):\n\t${sign({ aud: [after(command, "-audience")] })}\n`),
  }),
  kubernetes: fileAt("/var/run/secrets/mayfly/token", { KUBERNETES_SERVICE_HOST: "10.0.0.1" }),
  google: (sign) => ({
    fetch: (url) => {
      const { audience, format } = Object.fromEntries(new URL(url).searchParams);
      return answer(sign({ aud: audience, ...(format === "full" ? {} : { google: undefined, email: undefined }) }));
    },
  }),
};

/** The preset's first golden token, which its vendor's sample is. */
function goldenOf(system: System): GoldenCase {
  const golden = cases.find(({ issuer, expected }) => issuer === system && "trust" in expected);
  if (golden === undefined) throw new Error(`no golden token of ${system}`);
  return golden;
}

async function tokenOf(system: System, sign: Sign): Promise<string> {
  const around: Surroundings = {
    environment: {},
    fetch: () => Promise.reject(new Error("no network")),
    spawn: () => Promise.reject(new Error("no programs")),
    readFile: () => Promise.reject(new Error("no files")),
    ...vendors[system](sign),
  };
  // Google is never looked for by itself.
  const from = sourceOf(system === "google" ? system : "auto", String);
  const audience = (asked: System) => {
    expect(asked).toBe(system);
    return Promise.resolve(config[system]?.audience ?? "");
  };
  const token = await findToken({ from, audience }, around, AbortSignal.timeout(1_000));
  return token.use(String);
}

async function outcome(token: string): Promise<unknown> {
  return verifier.verify(Secret.of(token), AbortSignal.timeout(10_000)).catch((error: unknown) => {
    if (error instanceof BrokerError) return error;
    throw error;
  });
}

describe("what --token auto asks a CI system for", () => {
  it.each(systems)("its own preset takes: %s", async (system) => {
    const golden = goldenOf(system);
    expect(await outcome(await tokenOf(system, golden.sign))).toMatchObject({ issuer: system, ...golden.expected });
  });

  it.each<[System, Readonly<Record<string, unknown>>, string]>([
    ["github", { aud: "https://github.com/octo-org" }, "token-audience"],
    ["buildkite", { pipeline_id: undefined }, "token-claim"],
    ["circleci", { aud: "5034460f-c7c4-4c43-9457-de07e2029e7b" }, "token-audience"],
    ["azure-devops", { sub: "sc://org/project/azure" }, "token-claim"],
    ["azure-devops-entra", { sub: "sc://org/project/azure" }, "token-claim"],
  ])("and what it would get without asking so, it does not: %s", async (system, without, code) => {
    expect(await outcome(goldenOf(system).sign(without))).toMatchObject({ code });
  });
});
