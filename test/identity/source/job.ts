import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { BrokerError } from "../../../src/errors.ts";
import type { Surroundings } from "../../../src/identity/source/finders.ts";
import { findToken, sourceOf } from "../../../src/identity/source/source.ts";

export const audience = "https://broker.example";
export const jwt = "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln";

interface Heard {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage["headers"];
}

/** A CI system's token endpoint, on loopback. */
interface Endpoint extends AsyncDisposable {
  readonly url: string;
  readonly heard: Heard[];
}

export async function endpoint(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Endpoint> {
  const heard: Heard[] = [];
  const server: Server = createServer((request, response) => {
    heard.push({ method: request.method, path: request.url, headers: request.headers });
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const answering = (status: number, body: string) => (_: IncomingMessage, response: ServerResponse) =>
  response.writeHead(status).end(body);

/** A job that looks for its token. */
export interface Search {
  readonly environment?: Readonly<Record<string, string>>;
  readonly flag?: string;
  /** Where a vendor's own host is, for a machine that cannot reach it. */
  readonly at?: Readonly<Record<string, string>>;
  /** The files that are there; others are really looked for. */
  readonly files?: Readonly<Record<string, string>>;
  /** Where its programs are. */
  readonly path?: string;
}

/** The token that was found, and for which systems its audience was asked. */
export interface Found {
  readonly token: string;
  readonly asked: readonly string[];
}

export async function found({ environment = {}, flag = "auto", at = {}, files = {}, path = "" }: Search): Promise<Found> {
  const asked: string[] = [];
  const around: Surroundings = {
    environment,
    fetch: async (url, options) =>
      fetch(
        url.replace(/^https?:\/\/[^/]+/, (origin) => at[origin] ?? origin),
        {
          ...options,
          headers: { ...options.headers },
        },
      ),
    spawn: async ([name = "", ...args], signal) =>
      (await promisify(execFile)(name, args, { signal, env: { PATH: path } })).stdout,
    readFile: async (name) => files[name] ?? readFile(name, "utf8"),
  };
  const from = sourceOf(flag, String);
  const wish = {
    from,
    audience: (system: string) => {
      asked.push(system);
      return Promise.resolve(audience);
    },
  };
  return { token: (await findToken(wish, around, AbortSignal.timeout(5_000))).use(String), asked };
}

export async function refusal(search: Search): Promise<BrokerError> {
  const error: unknown = await found(search).then(
    () => new Error("a token was found"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof BrokerError) return error;
  throw error;
}
