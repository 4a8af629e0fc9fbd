import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, startProcess } from "./process.ts";
import { type Account, type RegistryAuth, startRegistryAuth } from "./registry-auth.ts";
import { serverIdentity } from "./tls.ts";

const daemon = "/usr/bin/docker-registry";

/** Why the tests that need a real registry cannot run here; undefined where they can. */
export function registryMissing(): string | undefined {
  return existsSync(daemon) ? undefined : "docker-registry is not installed: run scripts/setup.sh --tests";
}

/** Debian's docker-registry (CNCF distribution), which believes the tokens of one token server. Each call says with which status it ended. */
export interface Registry extends AsyncDisposable {
  readonly auth: RegistryAuth;
  readonly service: string;
  readonly issuer: string;
  /** A blob and a manifest, as a client pushes an image; the status of the first step that failed, else 201. */
  push(repository: string, token: string): Promise<number>;
  /** What was pushed there last. */
  pull(repository: string, token: string): Promise<number>;
  remove(repository: string, token: string): Promise<number>;
  catalog(token: string): Promise<number>;
}

export async function startRegistry(accounts: Readonly<Record<string, Account>>): Promise<Registry> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-registry-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const identity = await serverIdentity();
  const [service, issuer, port] = ["registry.example.com", "auth.example.com", await freePort()];
  const auth = stack.use(await startRegistryAuth({ service, issuer, accounts, ...identity }));
  await writeFile(join(folder, "trusted.pem"), identity.cert);
  await writeFile(
    join(folder, "config.yml"),
    configOf({ folder, port, realm: `http://127.0.0.1:${auth.port}/token`, service, issuer }),
  );
  const url = `http://127.0.0.1:${port}/v2/`;
  const ready = async (): Promise<boolean> => (await fetch(url)).status === 401;
  stack.use(await startProcess({ command: daemon, args: ["serve", join(folder, "config.yml")], ready }));
  const call = (token: string, method: string, path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(new URL(path, url), { ...init, method, headers: { ...init.headers, authorization: `Bearer ${token}` } });
  // Each its own: this registry answers 500 to two who push the same at once.
  let pushes = 0;
  const pushed = new Map<string, Image>();
  const last = (repository: string): Image => pushed.get(repository) ?? imageOf(0);
  return {
    auth,
    service,
    issuer,
    push: async (repository, token) => {
      const image = imageOf(++pushes);
      const status = await push((...parts) => call(token, ...parts), repository, image);
      if (status === 201) pushed.set(repository, image);
      return status;
    },
    pull: async (repository, token) =>
      (await call(token, "GET", `${repository}/manifests/${last(repository).tag}`, { headers: { accept: manifestType } }))
        .status,
    remove: async (repository, token) =>
      (await call(token, "DELETE", `${repository}/manifests/${digestOf(last(repository).manifest)}`)).status,
    catalog: async (token) => (await call(token, "GET", "_catalog")).status,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

interface Site {
  readonly folder: string;
  readonly port: number;
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
}

function configOf({ folder, port, realm, service, issuer }: Site): string {
  return JSON.stringify({
    version: 0.1,
    log: { level: "error" },
    storage: { filesystem: { rootdirectory: join(folder, "data") }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}`, secret: "s" },
    auth: { token: { realm, service, issuer, rootcertbundle: join(folder, "trusted.pem") } },
  });
}

const manifestType = "application/vnd.oci.image.manifest.v1+json";
interface Image {
  readonly tag: string;
  readonly config: Buffer<ArrayBuffer>;
  readonly manifest: Buffer<ArrayBuffer>;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function imageOf(number: number): Image {
  const config = Buffer.from(JSON.stringify({ number }));
  const blob = { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config: blob, layers: [] }));
  return { tag: `v${number}`, config, manifest };
}

async function push(
  call: (method: string, path: string, init?: RequestInit) => Promise<Response>,
  repository: string,
  { tag, config, manifest }: Image,
): Promise<number> {
  const begun = await call("POST", `${repository}/blobs/uploads/`);
  if (begun.status !== 202) return begun.status;
  const upload = new URL(begun.headers.get("location") ?? "");
  upload.searchParams.set("digest", digestOf(config));
  const done = await call("PUT", upload.href, { body: config, headers: { "content-type": "application/octet-stream" } });
  if (done.status !== 201) return done.status;
  const put = { body: manifest, headers: { "content-type": manifestType } };
  return (await call("PUT", `${repository}/manifests/${tag}`, put)).status;
}
