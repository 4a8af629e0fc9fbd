import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { BrokerError } from "../errors.ts";
import { type Clock, type Duration, within } from "../time.ts";

/** Nothing left this host: whatever was to happen upstream did not. */
export class NeverSent extends Error {
  override readonly name = "NeverSent";
}

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** PEM; replaces the public authorities. */
  readonly authority?: string | undefined;
  /** A Unix socket to connect to; what `url` names is then only spelled in the request. */
  readonly socket?: string;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** At most a megabyte. Whoever has read it overwrites it: it may hold a secret. */
  readonly bytes: Buffer;
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
      // An answer 101 closes without an error and without an answer of any use.
      outgoing.once("close", () => reject(new Error("the connection was closed")));
      onceStanding(outgoing, () => {
        stands = true;
      });
      outgoing.end(request.body);
    });
    return { status: response.statusCode ?? 0, headers: response.headers, bytes: await read(response) };
  } catch (error) {
    const why = reasonOf(error);
    throw stands ? new Error(`the answer was lost: ${why}`) : new NeverSent(why);
  }
}

/** Whose answer it is, and how long is waited for it. */
export interface Upstream {
  /** As the operator's log names it. */
  readonly name: string;
  readonly clock: Clock;
  readonly timeout: Duration;
  /** What to say of an upstream's refusal: a text is for the operator's log alone. None of what was sent may be in it. */
  readonly explain?: (status: number, body: unknown) => string | Explained;
}

/** What an upstream's refusal means. `message` and `hint` are for the caller too, `detail` is for the operator's log. */
export interface Explained {
  readonly detail: string;
  readonly message?: string;
  readonly hint?: string;
}

/** A body that was JSON, already read; undefined where there was none. */
export interface JsonAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/**
 * One question to an upstream that answers in JSON, told in the joint's own words. Resolves for 2xx, and for `also`. Throws
 * `provider-unavailable` where certainly nothing happened (never sent, 429, 503, a redirect, which a standby answers with),
 * `provider-refused` for any other 4xx, and an error that is neither where it may have happened: a lost answer, a 5xx, one that is not JSON.
 */
export async function ask(upstream: Upstream, request: HttpRequest, also: readonly number[] = []): Promise<JsonAnswer> {
  const answer = await timed(upstream, request).catch((error: unknown) => {
    if (!(error instanceof NeverSent)) throw error;
    throw new BrokerError("provider-unavailable", undefined, { detail: `${upstream.name}: ${error.message}` });
  });
  const { status, headers } = answer;
  if ((status >= 200 && status < 300) || also.includes(status)) return { status, headers, body: jsonOf(answer) };
  throw refusal(upstream, answer);
}

/** `send`, given up after the upstream's timeout. */
export async function timed({ clock, timeout }: Upstream, request: HttpRequest): Promise<HttpAnswer> {
  const late = new AbortController();
  const answer = send({ ...request, signal: AbortSignal.any([request.signal, late.signal]) });
  return within(clock, timeout, answer, () => {
    late.abort();
    return answer;
  });
}

function refusal({ name, explain }: Upstream, answer: HttpAnswer): Error {
  const { status } = answer;
  const said = explain?.(status, jsonIn(answer)) ?? "";
  const { detail: words, message, ...hint } = typeof said === "string" ? { detail: said } : said;
  const detail = `${name}: status ${status}${words === "" ? "" : `: ${words}`}`;
  const code = certainly(status);
  return code === undefined ? new Error(detail) : new BrokerError(code, message, { ...hint, detail });
}

/** Undefined where it may have happened. */
function certainly(status: number): "provider-unavailable" | "provider-refused" | undefined {
  if (status === 429 || status === 503 || (status >= 300 && status < 400)) return "provider-unavailable";
  return status >= 400 && status < 500 ? "provider-refused" : undefined;
}

/** Reads the body and overwrites it. The parser's own error would quote what it read. */
export function jsonOf({ bytes }: Pick<HttpAnswer, "bytes">): unknown {
  try {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new Error("the answer is not JSON");
  } finally {
    bytes.fill(0);
  }
}

function jsonIn(answer: HttpAnswer): unknown {
  try {
    return jsonOf(answer);
  } catch {
    return undefined;
  }
}

function open(
  { url, method, headers = {}, authority, socket, signal }: HttpRequest,
  answered: (response: IncomingMessage) => void,
): ClientRequest {
  const plain = { method, headers: { accept: "application/json", ...headers }, signal, agent: false } as const;
  const common = socket === undefined ? plain : { ...plain, socketPath: socket };
  if (url.protocol === "http:") return httpRequest(url, common, answered);
  const trust = authority === undefined ? {} : { ca: authority };
  return httpsRequest(url, { ...common, ...trust, rejectUnauthorized: true, minVersion: "TLSv1.2" }, answered);
}

function onceStanding(request: ClientRequest, stands: () => void): void {
  request.once("socket", (socket: Socket) => {
    socket.once("encrypted" in socket ? "secureConnect" : "connect", stands);
  });
}

async function read(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response) {
      if (!(chunk instanceof Buffer)) throw new Error("the body is not bytes");
      size += chunk.length;
      if (size > maxBytes) throw new Error("the answer is too long");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    for (const chunk of chunks) chunk.fill(0);
  }
}

/** The system's word for it (`ECONNREFUSED`, `CERT_HAS_EXPIRED`), else our own sentence. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "an unknown error";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
