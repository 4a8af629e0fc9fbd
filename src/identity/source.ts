import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { detectSystem, hints, projectedToken, type System } from "./system.ts";

/** What finding a token may touch, all of it handed in. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Node's own `fetch` fits. */
  readonly fetch: (
    url: string,
    options: { readonly headers: Readonly<Record<string, string>>; readonly redirect: "error"; readonly signal: AbortSignal },
  ) => Promise<{ readonly status: number; text(): Promise<string> }>;
  /** Runs a command found on PATH without a shell and resolves with its standard output; rejects unless it exits with 0. */
  readonly spawn: (command: readonly string[], signal: AbortSignal) => Promise<string>;
  /** Rejects where there is no such file. */
  readonly readFile: (path: string) => Promise<string>;
}

export interface TokenWish {
  /** `--token`: `auto`, or the file to read. */
  readonly from: string;
  /** Which audience to ask for, where the CI system lets a job ask. */
  readonly audience: string;
}

/** The identity token of the job we are in. Throws `token-missing`, whose hint is what to add to the job's definition. */
export async function findToken(wish: TokenWish, around: Surroundings, signal: AbortSignal): Promise<Secret> {
  if (wish.from !== "auto") return fromFile(wish.from, around);
  const system = await whereWeAre(around);
  if (system === undefined) throw new BrokerError("token-missing", "no CI system was recognised", { hint: hints.none });
  const text = await finders[system](wish.audience, around, signal).catch((cause: unknown) => {
    throw missing(system, wish.audience, cause);
  });
  if (text === undefined || text.trim() === "") throw missing(system, wish.audience);
  return Secret.of(text.trim());
}

async function whereWeAre({ environment, readFile }: Surroundings): Promise<System | undefined> {
  const mounted = readFile(projectedToken).then(
    () => true,
    () => false,
  );
  return detectSystem(environment, await mounted);
}

function missing(system: System, audience: string, cause?: unknown): BrokerError {
  return new BrokerError("token-missing", `this looks like ${names[system]}, but it gave no identity token`, {
    hint: hints[system](audience),
    cause,
  });
}

const names: Readonly<Record<System, string>> = {
  github: "GitHub Actions",
  gitlab: "GitLab CI",
  buildkite: "Buildkite",
  kubernetes: "Kubernetes",
};

type Finder = (audience: string, around: Surroundings, signal: AbortSignal) => Promise<string | undefined>;

const finders: Readonly<Record<System, Finder>> = {
  github: fromGitHub,
  gitlab: async (_, { environment }) => environment["MAYFLY_ID_TOKEN"] ?? environment["CUSTOM_ENV_MAYFLY_ID_TOKEN"],
  buildkite: async (audience, { spawn }, signal) =>
    spawn(["buildkite-agent", "oidc", "request-token", "--audience", audience], signal),
  kubernetes: async (_, { readFile }) => readFile(projectedToken),
};

/** The URL already has a query; the answer is `{"value": "<token>"}`. */
async function fromGitHub(
  audience: string,
  { environment, fetch }: Surroundings,
  signal: AbortSignal,
): Promise<string | undefined> {
  const url = environment["ACTIONS_ID_TOKEN_REQUEST_URL"];
  const bearer = environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
  if (url === undefined || bearer === undefined) return undefined;
  const headers = { authorization: `Bearer ${bearer}`, accept: "application/json" };
  const answer = await fetch(`${url}&audience=${encodeURIComponent(audience)}`, { headers, redirect: "error", signal });
  if (answer.status !== 200) return undefined;
  const parsed: unknown = JSON.parse(await answer.text());
  const value = typeof parsed === "object" && parsed !== null && "value" in parsed ? parsed.value : undefined;
  return typeof value === "string" ? value : undefined;
}

async function fromFile(path: string, { readFile }: Surroundings): Promise<Secret> {
  const text = await readFile(path).catch((cause: unknown) => {
    throw new BrokerError("token-missing", `${path} cannot be read`, {
      hint: "name the file that holds the token, or use --token auto",
      cause,
    });
  });
  if (text.trim() === "")
    throw new BrokerError("token-missing", `${path} is empty`, { hint: "the file holds the token and nothing else" });
  return Secret.of(text.trim());
}
