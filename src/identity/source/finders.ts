import { type AskEndpoint, answerTo, type Home, memberOf, NoToken, ownAddress } from "./endpoint.ts";
import { type Environment, projectedToken, type System } from "./system.ts";

/** What finding a token may touch, all of it handed in. */
export interface Surroundings {
  readonly environment: Environment;
  readonly fetch: AskEndpoint;
  /** Runs a command found on PATH without a shell and resolves with its standard output; rejects unless it exits with 0. */
  readonly spawn: (command: readonly string[], signal: AbortSignal) => Promise<string>;
  /** Rejects where there is no such file. */
  readonly readFile: (path: string) => Promise<string>;
}

/** One place where a token can be. */
interface Search extends Surroundings {
  /** Whom the token is for; asked for only by those who can choose. */
  readonly audience: () => Promise<string>;
  readonly signal: AbortSignal;
}

/** Gives the token's text, or throws `NoToken`. */
export type Finder = (search: Search) => Promise<string>;

/** Each as its vendor documents it; the fixed ones are tokens that the job was given when it began. */
export const finders: Readonly<Record<System, Finder>> = {
  github: (search) => fromActions(search, { server: search.environment["GITHUB_SERVER_URL"], known: gitHubHosts }),
  forgejo: (search) => fromActions(search, { server: forgejoServer(search.environment), known: [] }),
  gitlab: async (search) => given(search, "MAYFLY_ID_TOKEN", "CUSTOM_ENV_MAYFLY_ID_TOKEN"),
  buildkite: async (search) =>
    output(search, ["buildkite-agent", "oidc", "request-token", "--audience", await search.audience()]),
  circleci: fromCircle,
  bitbucket: async (search) => given(search, "BITBUCKET_STEP_OIDC_TOKEN"),
  "azure-devops": fromAzure,
  "hcp-terraform": async (search) => given(search, "TFC_WORKLOAD_IDENTITY_TOKEN_MAYFLY", "TFC_WORKLOAD_IDENTITY_TOKEN"),
  jenkins: async (search) => given(search, "MAYFLY_ID_TOKEN"),
  nomad: fromNomad,
  spiffe: fromSpire,
  kubernetes: async (search) => content(search, projectedToken),
  google: fromGoogle,
};

/** github.com's token service; that of a GitHub Enterprise host or of ghe.com is below the server's own name. */
const gitHubHosts = ["actions.githubusercontent.com"];

function forgejoServer(environment: Environment): string | undefined {
  return environment["FORGEJO_SERVER_URL"] ?? environment["GITHUB_SERVER_URL"];
}

function given({ environment }: Search, ...names: readonly string[]): string {
  const found = names.map((name) => environment[name] ?? "").find((value) => value !== "");
  if (found === undefined) throw new NoToken(`${names.join(" and ")} ${names.length === 1 ? "is" : "are"} not set`);
  return found;
}

async function output({ spawn, signal }: Search, command: readonly string[]): Promise<string> {
  return spawn(command, signal).catch((cause: unknown) => {
    throw new NoToken(`${command[0] ?? ""} ${failureOf(cause)}`, { cause });
  });
}

function failureOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "is not on PATH";
  return typeof code === "number" ? `exited with ${code}` : "did not answer";
}

async function content({ readFile }: Search, path: string): Promise<string> {
  return readFile(path).catch((cause: unknown) => {
    throw new NoToken(`${path} cannot be read`, { cause });
  });
}

/** GitHub's protocol, which Forgejo speaks too: the URL already has a query, and the answer is `{"value": "<token>"}`. */
async function fromActions(search: Search, home: Home): Promise<string> {
  const address = given(search, "ACTIONS_ID_TOKEN_REQUEST_URL");
  const bearer = given(search, "ACTIONS_ID_TOKEN_REQUEST_TOKEN");
  const url = ownAddress(address, home, { audience: await search.audience() });
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  return memberOf(await answerTo({ url, method: "GET", headers }, search.fetch, search.signal), "value");
}

/** The job's own program makes a token for us; the tokens in the environment are made for the organisation's audience. */
async function fromCircle(search: Search): Promise<string> {
  const claims = JSON.stringify({ aud: await search.audience() });
  try {
    return await output(search, ["circleci", "run", "oidc", "get", "--claims", claims]);
  } catch (error) {
    const { CIRCLE_OIDC_TOKEN_V2: second = "", CIRCLE_OIDC_TOKEN: first = "" } = search.environment;
    if (second === "" && first === "") throw error;
    return second === "" ? first : second;
  }
}

/** Its tokens name a service connection. The second variable is what the tasks of Azure's own command line set. */
async function fromAzure(search: Search): Promise<string> {
  const connection = given(search, "MAYFLY_SERVICE_CONNECTION", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID");
  const address = given(search, "SYSTEM_OIDCREQUESTURI");
  const bearer = given(search, "SYSTEM_ACCESSTOKEN");
  const { SYSTEM_COLLECTIONURI: collection, SYSTEM_TEAMFOUNDATIONCOLLECTIONURI: older } = search.environment;
  const home = { server: collection ?? older, known: ["dev.azure.com"] };
  const url = ownAddress(address, home, { "api-version": "7.1", serviceConnectionId: connection });
  const headers = {
    authorization: `Bearer ${bearer}`,
    "content-type": "application/json",
    "x-tfs-fedauthredirect": "Suppress",
  };
  return memberOf(await answerTo({ url, method: "POST", headers }, search.fetch, search.signal), "oidcToken");
}

/** The identity block named `mayfly`. The file first: it is renewed, and a task's environment is not. */
async function fromNomad(search: Search): Promise<string> {
  const path = `${search.environment["NOMAD_SECRETS_DIR"] ?? "/secrets"}/nomad_mayfly.jwt`;
  const inEnvironment = search.environment["NOMAD_TOKEN_mayfly"] ?? "";
  return inEnvironment === "" ? content(search, path) : search.readFile(path).catch(() => inEnvironment);
}

/** SPIRE's own program speaks the Workload API. It prints each token on its own line below its SPIFFE ID; the first is the default. */
async function fromSpire(search: Search): Promise<string> {
  const socket = /^unix:(?:\/\/)?(\/.+)$/.exec(given(search, "SPIFFE_ENDPOINT_SOCKET"))?.[1];
  if (socket === undefined) throw new NoToken("SPIFFE_ENDPOINT_SOCKET is not the path of a Unix socket");
  const command = ["spire-agent", "api", "fetch", "jwt", "-audience", await search.audience(), "-socketPath", socket];
  const token = /^token\([^\n]*\):\s*\n\s+(\S+)\s*$/m.exec(await output(search, command))?.[1];
  if (token === undefined) throw new NoToken("spire-agent printed no token");
  return token;
}

/** The address is Google's documented one, reachable from its machines alone; the header is its guard against forged requests. */
async function fromGoogle(search: Search): Promise<string> {
  const service = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/identity";
  const url = `${service}?${new URLSearchParams({ audience: await search.audience(), format: "full" }).toString()}`;
  return answerTo({ url, method: "GET", headers: { "metadata-flavor": "Google" } }, search.fetch, search.signal);
}
