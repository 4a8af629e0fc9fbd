import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Provider, {
  type AsymmetricSigningAlgorithm,
  type Configuration,
  type KoaContextWithOIDC,
  type ResourceServer,
} from "oidc-provider";

export interface IssuerOptions {
  /** Default RS256, as most CI systems sign. */
  readonly algorithm?: "RS256" | "PS256" | "ES256" | "EdDSA";
  readonly port?: number;
}

export interface TokenOptions {
  /** Default `https://mayfly.test`. */
  readonly audience?: string;
  /** Seconds between `iat` and `exp`; default 300. */
  readonly ttl?: number;
  /** Seconds that lie between the token's making and now; more than `ttl` gives an expired one. */
  readonly age?: number;
  /** Header `typ`; default `JWT`, as GitHub writes it. oidc-provider's own would be `at+jwt`. */
  readonly typ?: string;
}

/** A throw-away OIDC issuer on loopback: oidc-provider with one client, whose access tokens look like a CI system's. */
export interface Issuer extends AsyncDisposable {
  /** `iss`, and where `/.well-known/openid-configuration` is found. */
  readonly url: string;
  /** Asks the token endpoint for a token with these claims; `sub` is among them where it matters. */
  token(claims: Readonly<Record<string, unknown>>, options?: TokenOptions): Promise<string>;
  stop(): Promise<void>;
}

interface Order {
  readonly claims: Readonly<Record<string, unknown>>;
  readonly options: Required<TokenOptions>;
}

const defaults: Required<TokenOptions> = { audience: "https://mayfly.test", ttl: 300, age: 0, typ: "JWT" };

export async function startIssuer({ algorithm = "RS256", port = 0 }: IssuerOptions = {}): Promise<Issuer> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const orders = new Map<string, Order>();
  const secret = randomBytes(16).toString("hex");
  const provider = new Provider(
    url,
    configuration(algorithm, secret, (ctx) => orders.get(ctx.get("x-order"))),
  );
  const callback = provider.callback();
  server.on("request", (request, response) => void callback(request, response));
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  const token: Issuer["token"] = async (claims, options = {}) => {
    const id = randomBytes(8).toString("hex");
    const order = { claims, options: { ...defaults, ...options } };
    orders.set(id, order);
    try {
      return await askFor(url, secret, id, order);
    } finally {
      orders.delete(id);
    }
  };
  return { url, token, stop, [Symbol.asyncDispose]: stop };
}

async function askFor(url: string, secret: string, id: string, { options }: Order): Promise<string> {
  const response = await fetch(`${url}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`ci:${secret}`).toString("base64")}`, "x-order": id },
    body: new URLSearchParams({ grant_type: "client_credentials", resource: resourceOf(options.audience) }),
  });
  const answer = (await response.json()) as { readonly access_token?: string };
  if (answer.access_token === undefined) throw new Error(`the issuer answered ${response.status}: ${JSON.stringify(answer)}`);
  return answer.access_token;
}

/** A resource indicator is an absolute URI (RFC 8707 section 2); an audience need not be one. */
function resourceOf(audience: string): string {
  return URL.canParse(audience) ? audience : `urn:audience:${encodeURIComponent(audience)}`;
}

type Signing = NonNullable<IssuerOptions["algorithm"]>;

function configuration(
  algorithm: Signing,
  secret: string,
  orderOf: (ctx: KoaContextWithOIDC) => Order | undefined,
): Configuration {
  return {
    jwks: {
      keys: [
        { ...newKey(algorithm).export({ format: "jwk" }), alg: algorithm, use: "sig", kid: randomBytes(4).toString("hex") },
      ],
    },
    cookies: { keys: [randomBytes(16).toString("hex")] },
    clients: [
      {
        client_id: "ci",
        client_secret: secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: algorithm,
      },
    ],
    ttl: { ClientCredentials: defaults.ttl },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, resource) => resourceServer(orderOf(ctx), resource, algorithm),
      },
    },
    formats: {
      customizers: {
        jwt: (ctx, _, structured) => {
          const order = orderOf(ctx);
          if (order !== undefined && structured.payload !== undefined) shape(order, structured);
        },
      },
    },
  };
}

function resourceServer(order: Order | undefined, resource: string, alg: AsymmetricSigningAlgorithm): ResourceServer {
  const { audience, ttl } = order?.options ?? { ...defaults, audience: resource };
  return { scope: "", audience, accessTokenTTL: ttl, accessTokenFormat: "jwt", jwt: { sign: { alg } } };
}

/** A CI system's token has no OAuth client in it. */
function shape(
  { claims, options }: Order,
  structured: { header?: object | undefined; payload?: Record<string, unknown> | undefined },
): void {
  const { client_id: _client, scope: _scope, ...payload } = structured.payload ?? {};
  const iat = Number(payload["iat"]) - options.age;
  structured.payload = { ...payload, iat, nbf: iat, exp: iat + options.ttl, ...claims };
  structured.header = { ...structured.header, typ: options.typ };
}

function newKey(algorithm: Signing): ReturnType<typeof generateKeyPairSync>["privateKey"] {
  if (algorithm === "ES256") return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  if (algorithm === "EdDSA") return generateKeyPairSync("ed25519").privateKey;
  return generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
}
