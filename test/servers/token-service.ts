import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { freePort, startProcess } from "./process.ts";

/** The upstream of examples/mayfly-provider-sample, with its own word on what is alive. */
export interface TokenService extends AsyncDisposable {
  readonly port: number;
  /** Mode 0600. */
  readonly keyFile: string;
  readonly key: string;
  /** Of one lease, or of all. */
  alive(lease?: string): Promise<readonly string[]>;
  /** The status that a token gets. */
  use(method: "GET" | "PUT", project: string, token: string): Promise<number>;
}

export async function startTokenService(): Promise<TokenService> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-tokens-"));
  const key = `key-${randomBytes(16).toString("hex")}`;
  const keyFile = join(folder, "key");
  await writeFile(keyFile, key, { mode: 0o600 });
  await chmod(folder, 0o755);
  const projects = { shop: {}, "519283746": {}, archive: { seconds: 86_400 } };
  await writeFile(join(folder, "projects.json"), JSON.stringify(projects));
  const port = await freePort();
  const authorization = `Bearer ${key}`;
  const ask = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);
  const server = await startProcess({
    command: resolve("examples/mayfly-provider-sample/token-service"),
    args: [String(port), keyFile, join(folder, "projects.json")],
    ready: async () => (await ask("/tokens", { headers: { authorization } })).status === 200,
  });
  return {
    port,
    key,
    keyFile,
    alive: async (lease) => {
      const query = lease === undefined ? "" : `?lease=${encodeURIComponent(lease)}`;
      const listed = (await (await ask(`/tokens${query}`, { headers: { authorization } })).json()) as { id: string }[];
      return listed.map(({ id }) => id);
    },
    use: async (method, project, token) =>
      (await ask(`/projects/${project}`, { method, headers: { authorization: `Bearer ${token}` } })).status,
    [Symbol.asyncDispose]: async () => {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}
