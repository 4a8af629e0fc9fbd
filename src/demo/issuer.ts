import { createServer } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import type { Clock } from "../time.ts";

/** A CI system for ten seconds: it publishes its keys by OpenID Connect discovery and signs jobs' identity tokens. */
export interface DemoIssuer extends AsyncDisposable {
  readonly url: string;
  /** A token as GitHub Actions shapes them, for one job; `claims` say how this job differs. */
  token(claims: Readonly<Record<string, string>>): Promise<string>;
}

export const audience = "https://mayfly.example";

export async function startIssuer(clock: Clock): Promise<DemoIssuer> {
  const { publicKey, privateKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "demo", alg: "RS256", use: "sig" };
  const server = createServer((request, response) => {
    const documents: Readonly<Record<string, unknown>> = {
      "/.well-known/openid-configuration": {
        issuer: url,
        jwks_uri: `${url}/keys`,
        id_token_signing_alg_values_supported: ["RS256"],
      },
      "/keys": { keys: [jwk] },
    };
    const found = documents[request.url ?? ""];
    response
      .writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" })
      .end(JSON.stringify(found ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : address}`;
  return {
    url,
    token: (claims) => {
      const now = Math.floor(clock.now() / 1_000);
      return new SignJWT({ ...job, ...claims, sub: `repo:shop/web:ref:${claims["ref"] ?? job.ref}`, jti: crypto.randomUUID() })
        .setProtectedHeader({ alg: "RS256", kid: "demo", typ: "JWT" })
        .setIssuer(url)
        .setAudience(audience)
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + 300)
        .sign(privateKey);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const job = {
  repository: "shop/web",
  repository_id: "519283746",
  repository_owner: "shop",
  repository_owner_id: "77",
  ref: "refs/heads/main",
  ref_type: "branch",
  ref_protected: "true",
  event_name: "push",
  run_id: "1001",
  run_number: "12",
  run_attempt: "1",
  check_run_id: "5005",
  workflow_ref: "shop/web/.github/workflows/deploy.yml@refs/heads/main",
  job_workflow_ref: "shop/web/.github/workflows/deploy.yml@refs/heads/main",
  runner_environment: "self-hosted",
};
