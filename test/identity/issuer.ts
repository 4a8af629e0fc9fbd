import { generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the tests' clock says: a moment of 2026, so that nothing depends on when they run. */
export const now = 1_790_000_000_000;
const second = now / 1000;

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A real issuer on loopback: discovery, keys, and whatever else a test wants it to answer. */
export interface TestIssuer extends AsyncDisposable {
  readonly url: string;
  /** How often each path was asked for. */
  readonly asked: Map<string, number>;
  /** What each path answers; a test may put others in. */
  readonly answers: Map<string, Answer>;
}

export const discovery = "/.well-known/openid-configuration";

export async function startIssuer(jwks: () => unknown): Promise<TestIssuer> {
  const asked = new Map<string, number>();
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.set(path, (asked.get(path) ?? 0) + 1);
    (answers.get(path) ?? ((_, reply) => reply.writeHead(404).end()))(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  answers.set(
    discovery,
    json(() => ({ issuer: url, jwks_uri: `${url}/jwks` })),
  );
  answers.set("/jwks", json(jwks));
  return {
    url,
    asked,
    answers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function json(value: () => unknown): Answer {
  return (_, response) => response.setHeader("content-type", "application/json").end(JSON.stringify(value()));
}

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function rsaKey(kid: string, bits = 2048): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: bits });
  return { kid, alg: "RS256", privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" } };
}

export function ecKey(kid: string): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { kid, alg: "ES256", privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid, alg: "ES256", use: "sig" } };
}

/** The part as a token has it. Text is taken as it is, so that a test can spell what no library would write. */
export function part(value: unknown): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** Really signed, whatever the parts say: what refuses such a token is the rule under test, and not its signature. */
export function signed(key: TestKey, header: unknown, payload: unknown): string {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${signatureOf(key, input)}`;
}

export function signatureOf(key: TestKey, input: string): string {
  const options = key.alg === "ES256" ? { key: key.privateKey, dsaEncoding: "ieee-p1363" as const } : key.privateKey;
  return sign("sha256", Buffer.from(input), options).toString("base64url");
}

export function headerOf(key: TestKey): Record<string, unknown> {
  return { alg: key.alg, kid: key.kid, typ: "JWT" };
}

export const audience = "https://broker.example";

/** GitHub's own sample payload, made fresh for the tests' clock. */
export function githubClaims(issuer: string, changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const claims: Record<string, unknown> = {
    jti: randomUUID(),
    sub: "repo:octo-org@123456/octo-repo@456789:environment:prod",
    aud: audience,
    ref: "refs/heads/main",
    ref_type: "branch",
    ref_protected: "true",
    sha: "9f31",
    repository: "octo-org/octo-repo",
    repository_id: "456789",
    repository_owner: "octo-org",
    repository_owner_id: "123456",
    run_id: "77",
    run_attempt: "1",
    actor: "mona",
    actor_id: "12",
    workflow_ref: "octo-org/octo-repo/.github/workflows/d.yml@refs/heads/main",
    job_workflow_ref: "octo-org/octo-repo/.github/workflows/d.yml@refs/heads/main",
    event_name: "push",
    head_ref: "",
    base_ref: "",
    environment: "prod",
    runner_environment: "self-hosted",
    check_run_id: "991",
    iss: issuer,
    nbf: second - 600,
    iat: second,
    exp: second + 300,
    ...changes,
  };
  return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
}

export function seconds(offset: number): number {
  return second + offset;
}
