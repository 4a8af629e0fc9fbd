import type { LookupAddress } from "node:dns";
import { type ClientRequest, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction, Socket } from "node:net";
import type { Secret } from "../../secret.ts";
import { isForbidden, isPrivate } from "./addresses.ts";
import { type Resolve, resolveByHost } from "./resolve.ts";
import { type KeysTrouble, refused, unreachable } from "./trouble.ts";

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** PEM; replaces the public authorities. */
  readonly authority: string | undefined;
  /** Loopback and private addresses, and plain http; link-local ones and metadata services never. */
  readonly allowPrivate: boolean;
  /** Shown to this host as a bearer token (RFC 6750 section 2.1). */
  readonly bearer: Secret | undefined;
  readonly maxBytes: number;
}

/**
 * A GET that follows no redirect. Resolves with the body only when the status is 200 and it has at most `maxBytes`; rejects
 * otherwise, and when the signal is aborted.
 */
export type Fetch = (url: string, options: FetchOptions) => Promise<Uint8Array>;

const mostInformational = 4;
/** Bytes beside the body: headers, which Node ends at 16 KiB, and the frames of a body in chunks. */
const framing = 64 * 1024;
/** Of a body: each is an object, and one of a single byte costs a hundred times as much. */
const mostChunks = 4_096;

/** The real network. The address that was checked is the address that is connected to: a second DNS answer changes nothing. */
export const issuerFetch: Fetch = fetchOver(resolveByHost);

export function fetchOver(resolve: Resolve): Fetch {
  return async (url, options) => {
    const target = new URL(url);
    checkTarget(target, options);
    const response = await connect(target, resolve, options);
    try {
      checkAnswer(response, options.maxBytes);
      return await bodyOf(response, options.maxBytes);
    } finally {
      response.destroy();
    }
  };
}

function checkTarget(target: URL, { allowPrivate, bearer }: FetchOptions): void {
  const secure = target.protocol === "https:";
  const host = target.hostname.replace(/^\[|\]$/g, "");
  if (bearer !== undefined && !secure) throw unreachable("a bearer token is shown over https only");
  if (!isForbidden(host) && !allowPrivate && !secure) throw unreachable("only https is allowed");
  checkAddress(host, allowPrivate);
}

function checkAddress(host: string, allowPrivate: boolean): void {
  // The metadata services of clouds are there, and no issuer is.
  if (isForbidden(host)) throw unreachable("a link-local address or a metadata service is not allowed");
  if (!allowPrivate && isPrivate(host)) throw unreachable("a private address is not allowed");
}

function connect(target: URL, resolve: Resolve, options: FetchOptions): Promise<IncomingMessage> {
  const request = target.protocol === "https:" ? httpsRequest : httpRequest;
  const { signal, authority, allowPrivate, bearer } = options;
  const settings: RequestOptions & { ca?: string } = {
    agent: false,
    signal,
    lookup: checkedLookup(resolve, allowPrivate),
    headers: {
      accept: "application/json",
      "accept-encoding": "identity",
      ...(bearer === undefined ? {} : { authorization: bearer.use((bytes) => `Bearer ${bytes.toString("latin1")}`) }),
    },
  };
  if (authority !== undefined) settings.ca = authority;
  return new Promise((connected, failed) => {
    const asked = request(target, settings, connected);
    // Never taken away: an error that nobody hears would end the process.
    asked.on("error", failed);
    limitWhatComes(asked, options.maxBytes);
    asked.end();
  });
}

/**
 * A response begins after as many informational ones as a server likes (RFC 9110 section 15.2), and no reader of its body ever sees
 * those: each is a turn of the parser, and they come as fast as the network is.
 */
function limitWhatComes(asked: ClientRequest, maxBytes: number): void {
  let informational = 0;
  let answer: { destroy(error: Error): unknown } = asked;
  asked.on("response", (response) => {
    answer = response;
  });
  asked.on("information", () => {
    informational += 1;
    if (informational > mostInformational) answer.destroy(refused("the answer does not begin"));
  });
  asked.on("socket", (socket: Socket) => {
    socket.on("data", () => {
      if (socket.bytesRead > maxBytes + framing) answer.destroy(tooLong(maxBytes));
    });
  });
}

function checkedLookup(resolve: Resolve, allowPrivate: boolean): LookupFunction {
  return (host, options, callback) => {
    checkedAddresses(host, resolve, allowPrivate).then(
      ([first, ...others]) =>
        options.all === true ? callback(null, [first, ...others]) : callback(null, first.address, first.family),
      (error: NodeJS.ErrnoException) => callback(error, ""),
    );
  };
}

/** Refuses the whole answer when one address in it is private: which one would be used is not ours to know. */
async function checkedAddresses(
  host: string,
  resolve: Resolve,
  allowPrivate: boolean,
): Promise<[LookupAddress, ...LookupAddress[]]> {
  const [first, ...others] = await resolve(host);
  if (first === undefined) throw unreachable("the name has no address");
  for (const { address } of [first, ...others]) checkAddress(address, allowPrivate);
  return [first, ...others];
}

function checkAnswer({ statusCode, headers }: IncomingMessage, maxBytes: number): void {
  if (statusCode !== 200) throw unreachable(`the answer's status is ${statusCode}`);
  if ((headers["content-encoding"] ?? "identity") !== "identity") throw refused("a compressed answer was not asked for");
  // Somebody's error or sign-in page, with status 200.
  if (/^\s*text\/html/i.test(headers["content-type"] ?? "")) throw refused("the answer is a page of HTML");
  if (Number(headers["content-length"] ?? 0) > maxBytes) throw tooLong(maxBytes);
}

function tooLong(maxBytes: number): KeysTrouble {
  return refused(`the answer is longer than ${maxBytes} bytes`);
}

/** Chunk by chunk as they come: none waits in a queue. */
function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  response.on("data", (chunk: Uint8Array) => {
    if (response.destroyed) return;
    size += chunk.length;
    chunks.push(chunk);
    if (size > maxBytes) response.destroy(tooLong(maxBytes));
    if (chunks.length > mostChunks) response.destroy(refused("the answer comes in too many pieces"));
  });
  return new Promise((resolve, reject) => {
    response.on("error", reject);
    response.on("end", () => resolve(Buffer.concat(chunks)));
    response.on("close", () => reject(unreachable("the answer ended early")));
  });
}
