import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { errors, importSPKI, jwtVerify } from "jose";

/**
 * A stand-in of ours for GitHub's REST API, for there is no server of GitHub's to be had. It believes nothing: it verifies the App's JWT as
 * GitHub documents it, keeps its own list of living tokens, and lets each do exactly what it was made for. What is left out of a request
 * means "all of it", as at GitHub.
 */
export interface GitHub extends AsyncDisposable {
  readonly port: number;
  readonly app: string;
  readonly installation: string;
  /** PEM, PKCS#1, as GitHub gives it. */
  readonly key: string;
  /** Living tokens that were made for a lease, by the user agent that asked. */
  alive(lease?: string): readonly string[];
  /** The status that a job's request gets. */
  use(token: string, method: string, path: string): Promise<number>;
  /** How the next answers that hold a token differ from the truth; undefined for the truth. */
  lies: ((answer: Record<string, unknown>) => Record<string, unknown>) | undefined;
  format: "short" | "stateless";
  /** Seconds that its clock is ahead. */
  ahead: number;
  suspended: boolean;
  /** Revoking is answered with 204 and does nothing. */
  deaf: boolean;
  /** The bodies of all requests for a token. */
  readonly asked: readonly Record<string, unknown>[];
}

interface Token {
  readonly token: string;
  readonly lease: string;
  readonly repositories: readonly Repository[];
  readonly permissions: Readonly<Record<string, string>>;
  readonly expiresAt: number;
}

interface Repository {
  readonly id: number;
  readonly name: string;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

const owner = "shop-org";
const repositories: readonly Repository[] = [
  { id: 519_283_746, name: "Shop" },
  { id: 519_283_747, name: "shop-docs" },
  { id: 519_283_748, name: "payroll" },
];
/** What the App was given. */
const granted: Readonly<Record<string, string>> = {
  metadata: "read",
  contents: "write",
  issues: "write",
  pull_requests: "read",
};
const levels = ["read", "write", "admin"];

const no = (status: number, message: string): Answer => ({
  status,
  body: { message, documentation_url: "https://docs.github.com/rest" },
});

export async function startGitHub(): Promise<GitHub> {
  const stand = new StandIn();
  const server = createServer((incoming, outgoing) => {
    stand
      .answer(incoming)
      .catch((error: unknown) => no(500, String(error)))
      .then(({ status, body }) =>
        outgoing
          .writeHead(status, { "content-type": "application/json; charset=utf-8" })
          .end(body === undefined ? undefined : JSON.stringify(body)),
      )
      .catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  stand.port = (server.address() as AddressInfo).port;
  stand.close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return stand;
}

class StandIn implements GitHub {
  port = 0;
  readonly app = "Iv23liMayflyTests";
  readonly installation = "42424242";
  readonly #keys = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  readonly key = this.#keys.privateKey;
  readonly #living = new Map<string, Token>();
  readonly asked: Record<string, unknown>[] = [];
  lies: GitHub["lies"];
  format: GitHub["format"] = "short";
  ahead = 0;
  suspended = false;
  deaf = false;
  close = async (): Promise<void> => undefined;

  alive(lease?: string): readonly string[] {
    const living = [...this.#living.values()].filter(({ expiresAt }) => expiresAt > this.#now());
    return living.filter((token) => lease === undefined || token.lease === lease).map(({ token }) => token);
  }

  async use(token: string, method: string, path: string): Promise<number> {
    const headers = { authorization: `Bearer ${token}`, "user-agent": "job" };
    return (await fetch(`http://127.0.0.1:${this.port}${path}`, { method, headers })).status;
  }

  async answer(incoming: IncomingMessage): Promise<Answer> {
    const body = await bodyOf(incoming);
    const { method, headers } = incoming;
    if (headers["user-agent"] === undefined) return no(403, "Request forbidden by administrative rules.");
    const [path = ""] = (incoming.url ?? "").split("?");
    if (path.startsWith("/app/")) return this.#forTheApp(`${method} ${path}`, incoming, body);
    return this.#forAToken(`${method} ${path}`, bearerOf(incoming));
  }

  #now(): number {
    return Date.now() + this.ahead * 1_000;
  }

  async #forTheApp(asked: string, incoming: IncomingMessage, body: string): Promise<Answer> {
    const wrong = await this.#whyNotTheApp(bearerOf(incoming));
    if (wrong !== undefined) return wrong;
    if (incoming.headers["x-github-api-version"] !== "2022-11-28") return no(400, "no such version of the API");
    const found = /^POST \/app\/installations\/(\d+)\/access_tokens$/.exec(asked);
    if (found?.[1] !== this.installation) return no(404, "Not Found");
    if (this.suspended) return no(403, "This installation has been suspended");
    return this.#make(JSON.parse(body) as Record<string, unknown>, leaseOf(incoming));
  }

  async #whyNotTheApp(jwt: string): Promise<Answer | undefined> {
    const key = await importSPKI(this.#keys.publicKey, "RS256");
    const now = new Date(this.#now());
    const read = await jwtVerify(jwt, key, {
      algorithms: ["RS256"],
      currentDate: now,
      requiredClaims: ["iss", "iat", "exp"],
    }).catch((error: unknown) => error as Error);
    if (read instanceof Error) {
      if (read instanceof errors.JWTExpired)
        return no(
          401,
          "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
        );
      return no(401, "A JSON web token could not be decoded");
    }
    const { iss, iat = 0, exp = 0 } = read.payload;
    const seconds = this.#now() / 1_000;
    if (exp > seconds + 600) return no(401, "'Expiration time' claim ('exp') is too far in the future");
    if (iat > seconds)
      return no(401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued");
    return iss === this.app ? undefined : no(404, "Integration not found");
  }

  #make(body: Record<string, unknown>, lease: string): Answer {
    this.asked.push(body);
    const { repositories: names, repository_ids: ids, permissions = granted, ...unknown } = body;
    if (Object.keys(unknown).length > 0) return no(422, "Invalid request.");
    const chosen = choose(names as string[] | undefined, ids as number[] | undefined);
    if (chosen === undefined)
      return no(422, "There is at least one repository that does not exist or is not accessible to the parent installation.");
    const wanted = permissions as Record<string, string>;
    if (!Object.entries(wanted).every(([name, level]) => levels.indexOf(level) <= levels.indexOf(granted[name] ?? "")))
      return no(422, "The permissions requested are not granted to this installation.");
    const given = {
      token: this.#newToken(),
      lease,
      repositories: chosen,
      permissions: { ...wanted, metadata: "read" },
      expiresAt: this.#now() + 3_600_000,
    };
    const answer = this.lies?.(described(given, names === undefined && ids === undefined)) ?? described(given, false);
    this.#living.set(given.token, given);
    return { status: 201, body: answer };
  }

  /** The two formats of 2026; the longer one is not for its holder to read. */
  #newToken(): string {
    if (this.format === "short") return `ghs_${randomBytes(27).toString("base64url").replaceAll(/[-_]/g, "x")}`;
    return `ghs_123456_${[36, 210, 64].map((length) => randomBytes(length).toString("base64url")).join(".")}`;
  }

  #forAToken(asked: string, bearer: string): Answer {
    const token = this.#living.get(bearer);
    if (token === undefined || token.expiresAt <= this.#now()) return no(401, "Bad credentials");
    if (asked === "DELETE /installation/token") {
      if (!this.deaf) this.#living.delete(bearer);
      return { status: 204 };
    }
    if (asked === "GET /installation/repositories") return { status: 200, body: { repositories: token.repositories } };
    return perform(token, asked);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A few of its routes, each with the permission that GitHub documents for it. */
const routes: readonly (readonly [RegExp, string, string])[] = [
  [/^GET \/repos\/([^/]+\/[^/]+)$/, "metadata", "read"],
  [/^GET \/repos\/([^/]+\/[^/]+)\/contents\//, "contents", "read"],
  [/^PUT \/repos\/([^/]+\/[^/]+)\/contents\//, "contents", "write"],
  [/^GET \/repos\/([^/]+\/[^/]+)\/issues$/, "issues", "read"],
  [/^POST \/repos\/([^/]+\/[^/]+)\/issues$/, "issues", "write"],
  [/^GET \/repos\/([^/]+\/[^/]+)\/pulls$/, "pull_requests", "read"],
];

function perform(token: Token, asked: string): Answer {
  for (const [route, permission, level] of routes) {
    const name = route.exec(asked)?.[1]?.toLowerCase();
    if (name === undefined) continue;
    if (!token.repositories.some((one) => `${owner}/${one.name}`.toLowerCase() === name)) break;
    const may = levels.indexOf(token.permissions[permission] ?? "") >= levels.indexOf(level);
    return may ? { status: 200, body: {} } : no(403, "Resource not accessible by integration");
  }
  return no(404, "Not Found");
}

/** None named is all of them; undefined where one is not the installation's. */
function choose(names: readonly string[] | undefined, ids: readonly number[] | undefined): readonly Repository[] | undefined {
  if (names === undefined && ids === undefined) return repositories;
  const byName = (names ?? []).map((name) => repositories.find((one) => one.name.toLowerCase() === name.toLowerCase()));
  const byId = (ids ?? []).map((id) => repositories.find((one) => one.id === id));
  const found = [...byName, ...byId].filter((one) => one !== undefined);
  return found.length === byName.length + byId.length ? found : undefined;
}

function described({ token, permissions, expiresAt, repositories: chosen }: Token, all: boolean): Record<string, unknown> {
  return {
    token,
    expires_at: `${new Date(expiresAt).toISOString().slice(0, 19)}Z`,
    permissions,
    repository_selection: all ? "all" : "selected",
    repositories: chosen.map(({ id, name }) => ({
      id,
      node_id: createHash("sha256").update(name).digest("base64url"),
      name,
      full_name: `${owner}/${name}`,
      private: true,
      owner: { login: owner, id: 7 },
    })),
  };
}

function bearerOf({ headers }: IncomingMessage): string {
  return /^Bearer (\S+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
}

function leaseOf({ headers }: IncomingMessage): string {
  return /^mayfly \((lse-[0-9a-z]+)\)$/.exec(headers["user-agent"] ?? "")?.[1] ?? "";
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
