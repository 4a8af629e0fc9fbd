import { freePort, type ServerProcess, startProcess } from "./process.ts";
import { toxiproxyPath } from "./toxiproxy-binary.ts";

/** What is done to the bytes of a connection; `toxicity` is the share of connections that it is done to. */
export interface Toxic {
  readonly type: "latency" | "reset_peer" | "timeout" | "limit_data" | "slicer";
  readonly stream: "upstream" | "downstream";
  readonly toxicity: number;
  readonly attributes: Readonly<Record<string, number>>;
}

/** A real toxiproxy on loopback. It knows no protocol: it cuts, delays and slices bytes wherever they are. */
export interface Toxiproxy extends AsyncDisposable {
  /** A port that leads to this one. */
  before(port: number): Promise<number>;
  /** Done to every connection from now on that leads through one of these ports. */
  poison(port: number, toxics: readonly Toxic[]): Promise<void>;
  /** Cuts what stands, and leads on without harm. */
  heal(): Promise<void>;
}

export async function startToxiproxy(seed: number): Promise<Toxiproxy> {
  const api = await freePort();
  const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const headers = { "content-type": "application/json" };
    const said = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(`http://127.0.0.1:${api}${path}`, { method, headers, ...said });
    const text = await response.text();
    if (!response.ok) throw new Error(`toxiproxy: ${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
  const launch = (): Promise<ServerProcess> =>
    startProcess({
      command: toxiproxyPath(),
      args: ["-host=127.0.0.1", `-port=${api}`, `-seed=${seed}`],
      env: { LOG_LEVEL: "error" },
      ready: async () => (await ask("GET", "/proxies")) !== undefined,
    });
  let server = await launch();
  const made: object[] = [];
  return {
    before: async (port) => {
      const listen = await freePort();
      const proxy = { name: `at-${listen}`, listen: `127.0.0.1:${listen}`, upstream: `127.0.0.1:${port}`, enabled: true };
      await ask("POST", "/proxies", proxy);
      made.push(proxy);
      return listen;
    },
    poison: async (port, toxics) => {
      for (const toxic of toxics) await ask("POST", `/proxies/at-${port}/toxics`, toxic);
    },
    heal: async () => {
      // A toxic that holds a connection cannot be taken away (it never answers), so the whole proxy begins anew.
      await server.stop();
      server = await launch();
      for (const proxy of made) await ask("POST", "/proxies", proxy);
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
}
