import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import type { LastWordConfig } from "./config.ts";
import type { Rego, Said } from "./rego.ts";

const mostBytes = 64 * 1024;
const mostTokenBytes = 16 * 1024;

/** OPA's own envelope (its REST API, "Get a Document (with Input)"); what else it says, metrics for example, changes nothing. */
const envelope = z.object({
  result: z.unknown().optional(),
  decision_id: z
    .string()
    .regex(/^[A-Za-z0-9._:/-]{1,128}$/)
    .optional(),
});

type ServerConfig = Extract<LastWordConfig, { kind: "server" }>;

/**
 * An OPA server, asked anew for each run over a connection of its own. It follows no redirect, uses no proxy and takes only a JSON answer
 * with the status 200 in good time; anything else rejects. `authority` is PEM and replaces the public ones.
 */
export function regoServer(config: ServerConfig, authority: string | undefined): Rego {
  return {
    version: undefined,
    async ask(input, stop) {
      const late = AbortSignal.timeout(config.timeout);
      const over = AbortSignal.any([stop, late]);
      const body = JSON.stringify({ input });
      try {
        return await unless(over, post(config, authority, body, over).then(saidIn));
      } catch (error) {
        throw late.aborted ? new Error(`the server did not answer within ${config.timeout} ms`) : error;
      }
    },
  };
}

/** Whatever becomes of the connection. */
async function unless<T>(over: AbortSignal, work: Promise<T>): Promise<T> {
  using done = new DisposableStack();
  const aborted = new Promise<never>((_, reject) => {
    const leave = (): void => reject(over.reason instanceof Error ? over.reason : new Error("it was told to stop"));
    if (over.aborted) leave();
    over.addEventListener("abort", leave, { once: true });
    done.defer(() => over.removeEventListener("abort", leave));
  });
  return await Promise.race([work, aborted]);
}

async function post(
  config: ServerConfig,
  authority: string | undefined,
  body: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const headers = {
    "content-type": "application/json",
    accept: "application/json",
    "accept-encoding": "identity",
    "content-length": Buffer.byteLength(body),
    ...(config.tokenFile !== undefined && { authorization: `Bearer ${await tokenIn(config.tokenFile)}` }),
  };
  const options = { ...placeOf(config), method: "POST", agent: false, headers, signal };
  const secure = config.address.kind === "url" && config.address.url.protocol === "https:";
  const trust = { ...(authority !== undefined && { ca: authority }), rejectUnauthorized: true, minVersion: "TLSv1.2" } as const;
  return new Promise((resolve, reject) => {
    const asked = secure ? httpsRequest({ ...options, ...trust }, resolve) : httpRequest(options, resolve);
    // Never taken away: an error that nobody hears would end the process.
    asked.on("error", reject);
    asked.on("upgrade", (_, socket) => {
      socket.destroy();
      reject(new Error("the server would speak another protocol"));
    });
    asked.on("close", () => reject(new Error("the server closed the connection")));
    asked.end(body);
  });
}

function placeOf({ address, decision }: ServerConfig): RequestOptions {
  const data = `/v1/data/${decision}`;
  if (address.kind === "unix") return { socketPath: address.path, host: "localhost", path: data };
  const { hostname, port, pathname } = address.url;
  const host = hostname.replace(/^\[|\]$/g, "");
  return { host, path: `${pathname.replace(/\/+$/, "")}${data}`, ...(port !== "" && { port }) };
}

async function saidIn(response: IncomingMessage): Promise<Said> {
  try {
    if (response.statusCode !== 200) throw new Error(`the server's answer has the status ${response.statusCode}`);
    if (!/^application\/json\b/i.test(response.headers["content-type"] ?? ""))
      throw new Error("the server's answer is no JSON");
    const parsed = envelope.safeParse(parse(await bodyOf(response)));
    if (!parsed.success) throw new Error("the server's answer is not one of OPA");
    return { result: parsed.data.result, id: parsed.data.decision_id };
  } finally {
    response.destroy();
  }
}

async function bodyOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Buffer)) throw new Error("the body is not bytes");
    size += chunk.length;
    if (size > mostBytes) throw new Error(`the server's answer is longer than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The parser's own error would quote what it read. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("the server's answer is no JSON");
  }
}

/** One line, as `echo` or a secret store's agent writes it. Opened so that a pipe in the file's place makes nobody wait. */
async function tokenIn(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(mostTokenBytes), 0, mostTokenBytes, 0);
  const token = buffer.toString("latin1", 0, bytesRead).trim();
  // RFC 6750 section 2.1; the token itself is in no error.
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) throw new Error("the token's file holds no bearer token");
  return token;
}
