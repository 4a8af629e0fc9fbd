import { type AskEndpoint, answerTo, type Home, memberOf, NoToken, originOf, ownAddress } from "./endpoint.ts";
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
  github: async (search) => fromActions(search, gitHubHome(search)),
  forgejo: async (search) => fromActions(search, forgejoHome(search)),
  gitlab: async (search) => given(search, "MAYFLY_ID_TOKEN", "CUSTOM_ENV_MAYFLY_ID_TOKEN"),
  buildkite: async (search) => output(search, [...buildkiteAgent, "--audience", await search.audience()]),
  // The tokens in a job's environment are made for its organisation, and no broker takes those.
  circleci: async (search) =>
    output(search, ["circleci", "run", "oidc", "get", "--claims", JSON.stringify({ aud: await search.audience() })]),
  bitbucket: async (search) => given(search, "BITBUCKET_STEP_OIDC_TOKEN"),
  "azure-devops": (search) => fromAzure(search, {}),
  "azure-devops-entra": async (search) => fromAzure(search, { serviceConnectionId: given(search, ...connections) }),
  "hcp-terraform": async (search) => given(search, "TFC_WORKLOAD_IDENTITY_TOKEN_MAYFLY", "TFC_WORKLOAD_IDENTITY_TOKEN"),
  jenkins: async (search) => given(search, "MAYFLY_ID_TOKEN"),
  nomad: fromNomad,
  spiffe: fromSpire,
  kubernetes: async (search) => content(search, projectedToken),
  google: fromGoogle,
};

/** Its ids are in a token only where it was asked for with them, and the preset takes no other. */
const buildkiteAgent = ["buildkite-agent", "oidc", "request-token", "--claim", "organization_id,pipeline_id"];

/** The second is what the tasks of Azure's own command line set. */
const connections = ["MAYFLY_SERVICE_CONNECTION", "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"];

/**
 * Of all variables that say where a server is, GITHUB_SERVER_URL is the one that both runners write anew for every step, after what steps
 * have written to `$GITHUB_ENV`. github.com's token service is at a host of its own, and others' may be below the server's name.
 */
function gitHubHome({ environment }: Search): Home {
  const server = environment["GITHUB_SERVER_URL"];
  const own = originOf(server)?.replace("https://", "") ?? "";
  const below = own.endsWith(".ghe.com") ? `.${own}` : `.actions.${own}`;
  return { server, isVendors: (host) => host.endsWith(".actions.githubusercontent.com") || host.endsWith(below) };
}

/** FORGEJO_SERVER_URL is any step's to set at GitHub, so it never decides: it can only disagree. */
function forgejoHome(search: Search): Home {
  const server = originOf(given(search, "GITHUB_SERVER_URL"));
  const forgejo = search.environment["FORGEJO_SERVER_URL"];
  if (server === undefined || /^https?:\/\/(?:[a-z0-9-]+\.)*(?:github|ghe)\.com(?::|$)/.test(server))
    throw new NoToken("GITHUB_SERVER_URL is not a Forgejo server");
  if (forgejo !== undefined && originOf(forgejo) !== server)
    throw new NoToken("FORGEJO_SERVER_URL and GITHUB_SERVER_URL are different servers, so neither was asked");
  return { server, isVendors: () => false };
}

/** Its logging commands let a step set nearly every variable; there are tokens at Azure DevOps Services alone, whose hosts are these. */
const azureHome: Home = {
  server: undefined,
  isVendors: (host) => /^(?:(?:[a-z0-9-]+\.)*dev\.azure\.com|[a-z0-9-]+\.visualstudio\.com)$/.test(host),
};

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
  const bearer = requestToken(search, "ACTIONS_ID_TOKEN_REQUEST_TOKEN");
  const url = ownAddress(address, home, { audience: await search.audience() });
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  return memberOf(await answerTo({ url, method: "GET", headers }, search.fetch, search.signal), "value");
}

/** What is shown to an endpoint. Without certificates any endpoint is as good as the right one, and a step can set that variable too. */
function requestToken(search: Search, name: string): string {
  if (search.environment["NODE_TLS_REJECT_UNAUTHORIZED"] === "0")
    throw new NoToken("NODE_TLS_REJECT_UNAUTHORIZED=0 is set, so no endpoint can be recognised");
  return given(search, name);
}

/** Asked for without a service connection, a token names the pipeline; with one, that connection. */
async function fromAzure(search: Search, connection: Readonly<Record<string, string>>): Promise<string> {
  const address = given(search, "SYSTEM_OIDCREQUESTURI");
  const bearer = requestToken(search, "SYSTEM_ACCESSTOKEN");
  const url = ownAddress(address, azureHome, { "api-version": "7.1", ...connection });
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
