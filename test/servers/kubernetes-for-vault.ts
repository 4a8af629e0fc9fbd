import { randomBytes, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A stand-in for the API server that OpenBao's kubernetes engine talks to (no real cluster runs here): service accounts, roles, bindings and
 * tokens, as far as that engine asks for them. It checks the engine's own token, and knows which accounts and tokens there are; the tokens
 * are shaped like Kubernetes' and signed by nobody.
 */
export interface KubernetesForVault extends AsyncDisposable {
  readonly address: string;
  /** What the engine must show. */
  readonly token: string;
  readonly accounts: ReadonlySet<string>;
  /** As TokenReview would say: its account is still there, and it is for this audience. */
  review(token: string, audience: string): boolean;
  /** Tokens come with other claims than were asked for. */
  lie(claims: object): void;
}

interface Spec {
  readonly audiences: readonly string[];
  readonly expirationSeconds: number;
}

const rbac = "rbac.authorization.k8s.io/v1";
const kinds: Readonly<Record<string, object>> = {
  serviceaccounts: { kind: "ServiceAccount", apiVersion: "v1" },
  roles: { kind: "Role", apiVersion: rbac },
  rolebindings: { kind: "RoleBinding", apiVersion: rbac },
};

type Told = readonly [code: number, body: object];

/** Namespace, kind, name, and what of it. */
const place = /\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/;

export async function startKubernetesForVault(): Promise<KubernetesForVault> {
  const token = randomBytes(16).toString("hex");
  const accounts = new Set<string>(["shop/fixed"]);
  const issued = new Map<string, { readonly account: string; readonly audiences: readonly string[] }>();
  let lies: object = {};
  const tokenOf = (account: string, spec: Spec): Told => {
    if (!accounts.has(account)) return [404, status(404)];
    const made = tokenFor(account, spec, lies);
    issued.set(made.token, { account, audiences: spec.audiences });
    return [201, { kind: "TokenRequest", apiVersion: "authentication.k8s.io/v1", status: made }];
  };
  const make = (kind: string, namespace: string, name: string): Told => {
    if (kind === "serviceaccounts") accounts.add(`${namespace}/${name}`);
    return [201, { ...kinds[kind], metadata: { name, namespace, uid: randomUUID() } }];
  };
  const unmake = (kind: string, account: string): Told =>
    kind !== "serviceaccounts" || accounts.delete(account) ? [200, status(200)] : [404, status(404)];
  const answer = (request: IncomingMessage, body: Buffer): Told => {
    if (request.headers.authorization !== `Bearer ${token}`) return [401, status(401)];
    const [, namespace = "", kind = "", name, sub] = place.exec(request.url?.split("?")[0] ?? "") ?? [];
    if (sub === "token") return tokenOf(`${namespace}/${name}`, specOf(body));
    if (request.method === "POST") return make(kind, namespace, nameOf(body));
    return request.method === "DELETE" ? unmake(kind, `${namespace}/${name}`) : [404, status(404)];
  };
  const server = createServer((request, response) => void respond(request, response, answer));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token,
    accounts,
    review: (shown, audience) => {
      const found = issued.get(shown);
      return found !== undefined && accounts.has(found.account) && found.audiences.includes(audience);
    },
    lie: (claims) => {
      lies = claims;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  answer: (request: IncomingMessage, body: Buffer) => Told,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const [code, body] = answer(request, Buffer.concat(chunks));
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function tokenFor(
  account: string,
  { audiences, expirationSeconds }: Spec,
  lies: object,
): { token: string; expirationTimestamp: string } {
  const [namespace, name] = account.split("/");
  const exp = Math.floor(Date.now() / 1_000) + expirationSeconds;
  const claims = {
    exp,
    aud: audiences,
    sub: `system:serviceaccount:${namespace}:${name}`,
    "kubernetes.io": { namespace },
    ...lies,
  };
  const parts = [{ alg: "RS256" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  return {
    token: `${parts.join(".")}.${randomBytes(16).toString("base64url")}`,
    expirationTimestamp: new Date(exp * 1_000).toISOString(),
  };
}

function status(code: number): object {
  return { kind: "Status", apiVersion: "v1", status: code < 300 ? "Success" : "Failure", code, metadata: {} };
}

/** The engine speaks Kubernetes' protobuf: `k8s\0`, then runtime.Unknown, whose field 2 is the object; field 1 of any object is its metadata. */
function nameOf(body: Buffer): string {
  const metadata = fieldsOf(bytesIn(objectOf(body), 1)[0] ?? Buffer.of());
  return bytesIn(metadata, 1)[0]?.toString("utf8") ?? "";
}

/** TokenRequestSpec: audiences (1), boundObjectRef (3), expirationSeconds (4). */
function specOf(body: Buffer): Spec {
  const spec = fieldsOf(bytesIn(objectOf(body), 2)[0] ?? Buffer.of());
  const audiences = bytesIn(spec, 1).map((bytes) => bytes.toString("utf8"));
  const seconds = spec.find(([number]) => number === 4)?.[1];
  return { audiences, expirationSeconds: typeof seconds === "number" ? seconds : 3_600 };
}

type Field = readonly [number: number, value: number | Buffer];

function objectOf(body: Buffer): readonly Field[] {
  return fieldsOf(bytesIn(fieldsOf(body.subarray(4)), 2)[0] ?? Buffer.of());
}

function bytesIn(fields: readonly Field[], number: number): readonly Buffer[] {
  return fields.flatMap(([found, value]) => (found === number && value instanceof Buffer ? [value] : []));
}

/** Varints and length-delimited fields; Kubernetes uses no others here. */
function fieldsOf(bytes: Buffer): readonly Field[] {
  const found: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const value = varint();
    if ((key & 7) === 0) found.push([key >> 3, value]);
    else found.push([key >> 3, bytes.subarray(at, (at += value))]);
  }
  return found;
}
