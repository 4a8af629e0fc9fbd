import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";

/** Nothing left this host: whatever was to happen upstream did not. */
export class NeverSent extends Error {
  override readonly name = "NeverSent";
}

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly json: unknown;
  /** PEM; replaces the public authorities. */
  readonly authority: string | undefined;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

const maxBytes = 1024 * 1024;

/**
 * One request on one fresh connection, so that "was it sent?" has an answer: rejects with `NeverSent` until the connection (and
 * TLS) stands, and with any other error once bytes may have left. Follows no redirect, uses no proxy, always verifies TLS, and
 * no error holds a header or a body.
 */
export async function send(request: HttpRequest): Promise<HttpAnswer> {
  let stands = false;
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = open(request, resolve).once("error", reject);
      onceStanding(outgoing, () => {
        stands = true;
      });
      outgoing.end(request.json === undefined ? undefined : JSON.stringify(request.json));
    });
    return await read(response);
  } catch (error) {
    const why = reasonOf(error);
    throw stands ? new Error(`the answer was lost: ${why}`) : new NeverSent(why);
  }
}

function open(
  { url, method, headers, json, authority, signal }: HttpRequest,
  answered: (response: IncomingMessage) => void,
): ClientRequest {
  const typed = json === undefined ? headers : { ...headers, "content-type": "application/json" };
  const common = { method, headers: { ...typed, accept: "application/json" }, signal, agent: false } as const;
  if (url.protocol === "http:") return httpRequest(url, common, answered);
  const trust = authority === undefined ? {} : { ca: authority };
  return httpsRequest(url, { ...common, ...trust, rejectUnauthorized: true, minVersion: "TLSv1.2" }, answered);
}

function onceStanding(request: ClientRequest, stands: () => void): void {
  request.once("socket", (socket: Socket) => {
    socket.once("encrypted" in socket ? "secureConnect" : "connect", stands);
  });
}

async function read(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Buffer)) throw new Error("the body is not bytes");
    size += chunk.length;
    if (size > maxBytes) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  try {
    return { status: response.statusCode ?? 0, body: parse(bytes) };
  } finally {
    for (const part of [bytes, ...chunks]) part.fill(0);
  }
}

/** The parser's own error would quote what it read. */
function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new Error("the answer is not JSON");
  }
}

/** The system's word for it (`ECONNREFUSED`, `CERT_HAS_EXPIRED`), else our own sentence. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "an unknown error";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
