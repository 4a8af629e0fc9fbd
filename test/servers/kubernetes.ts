import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { kubernetesPath } from "./kubernetes-binary.ts";
import { freePort, startProcess } from "./process.ts";
import { serverIdentity } from "./tls.ts";

/** A real Kubernetes API server with a real etcd behind it; no kubelet and no controllers. */
export interface Kubernetes extends AsyncDisposable {
  /** Plain, into its TLS: for proxies that speak no TLS. */
  readonly port: number;
  /** Its own, TLS, made out to `localhost`. */
  readonly tlsPort: number;
  /** PEM. */
  readonly ca: string;
  /** A token of the cluster's administrator. */
  readonly admin: string;
  /** Asks it as whoever holds the token. */
  ask(token: string, method: string, path: string, body?: unknown): Promise<KubernetesAnswer>;
}

export interface KubernetesAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** The audience of tokens for the API server itself. */
export const ownAudience = "https://kubernetes.default.svc";

export interface KubernetesStart {
  /** The text of `--authentication-config`. */
  readonly authentication?: string;
}

export async function startKubernetes({ authentication }: KubernetesStart = {}): Promise<Kubernetes> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-kubernetes-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const at = (name: string): string => join(folder, name);
  const identity = await serverIdentity();
  const admin = randomBytes(16).toString("hex");
  const { privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  await Promise.all([
    writeFile(at("tls.key"), identity.key, { mode: 0o600 }),
    writeFile(at("tls.crt"), identity.cert),
    writeFile(at("accounts.key"), privateKey, { mode: 0o600 }),
    writeFile(at("tokens.csv"), `${admin},admin,admin,system:masters\n`, { mode: 0o600 }),
    ...(authentication === undefined ? [] : [writeFile(at("authentication.yaml"), authentication)]),
  ]);
  const etcd = stack.use(await startEtcd(at("etcd")));
  const tlsPort = await freePort();
  const tunnel = stack.use(await startTunnel(tlsPort, identity.cert));
  const ask: Kubernetes["ask"] = (token, method, path, body) => askPlain(tunnel.port, token, { method, path, body });
  const flags = {
    "etcd-servers": etcd.address,
    "bind-address": "127.0.0.1",
    "secure-port": String(tlsPort),
    "cert-dir": folder,
    "tls-cert-file": at("tls.crt"),
    "tls-private-key-file": at("tls.key"),
    "service-account-issuer": ownAudience,
    "service-account-key-file": at("accounts.key"),
    "service-account-signing-key-file": at("accounts.key"),
    "service-cluster-ip-range": "10.0.0.0/24",
    "token-auth-file": at("tokens.csv"),
    "authorization-mode": "RBAC",
    ...(authentication === undefined ? {} : { "authentication-config": at("authentication.yaml") }),
  };
  const server = await startProcess({
    command: kubernetesPath(),
    args: Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    cwd: folder,
    ready: async () => (await ask(admin, "GET", "/readyz")).status === 200,
    stopSignal: "SIGKILL",
    patience: 120_000,
  });
  stack.use(server);
  return { port: tunnel.port, tlsPort, ca: identity.cert, admin, ask, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function startEtcd(folder: string): Promise<AsyncDisposable & { readonly address: string }> {
  const [clients, peers] = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`);
  const address = clients ?? "";
  const server = await startProcess({
    command: kubernetesPath(),
    args: [
      "etcd",
      `--data-dir=${folder}`,
      `--listen-client-urls=${address}`,
      `--advertise-client-urls=${address}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      "--unsafe-no-fsync",
    ],
    ready: async () => (await fetch(`${address}/health`)).ok,
    stopSignal: "SIGKILL",
  });
  return { address, [Symbol.asyncDispose]: () => server.stop() };
}

/** Takes plain connections and carries each to the server through TLS. */
async function startTunnel(tlsPort: number, ca: string): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ socket: dial(tlsPort, "127.0.0.1"), servername: "localhost", ca });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

function askPlain(port: number, token: string, { method, path, body }: Ask): Promise<KubernetesAnswer> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: parsed(Buffer.concat(chunks).toString("utf8")) }));
    });
    outgoing.once("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
