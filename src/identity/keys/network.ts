import type { LookupAddress } from "node:dns";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";
import type { Secret } from "../../secret.ts";
import { type Resolve, resolveByHost } from "./resolve.ts";
import { type KeysTrouble, refused, unreachable } from "./trouble.ts";

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** PEM; replaces the public authorities. */
  readonly authority: string | undefined;
  /** Loopback and private addresses, and plain http; link-local ones never. */
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
  if (bearer !== undefined && !secure) throw unreachable("a bearer token is shown over https only");
  if (!allowPrivate && !secure) throw unreachable("only https is allowed");
  checkAddress(target.hostname.replace(/^\[|\]$/g, ""), allowPrivate);
}

function checkAddress(host: string, allowPrivate: boolean): void {
  // The metadata services of clouds are there, and no issuer is.
  if (isLinkLocal(host)) throw unreachable("a link-local address is not allowed");
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
    // Never taken away: an error that nobody hears would end the process.
    request(target, settings, connected).on("error", failed).end();
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

async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Uint8Array)) throw unreachable("the body is not bytes");
    size += chunk.length;
    if (size > maxBytes) throw tooLong(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** IANA's special-purpose registries: what no public issuer can be at. */
const notPublic: readonly (readonly [string, number, "ipv4" | "ipv6"])[] = [
  ["0.0.0.0", 8, "ipv4"],
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.0.0", 16, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.0.0.0", 24, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"],
  ["224.0.0.0", 3, "ipv4"],
  ["::", 96, "ipv6"],
  ["64:ff9b::", 32, "ipv6"],
  ["2001::", 32, "ipv6"],
  ["2002::", 16, "ipv6"],
  ["fc00::", 7, "ipv6"],
  ["fe80::", 10, "ipv6"],
  ["fec0::", 10, "ipv6"],
  ["ff00::", 8, "ipv6"],
];

const linkLocal: typeof notPublic = [
  ["169.254.0.0", 16, "ipv4"],
  ["fe80::", 10, "ipv6"],
];

const notPublicList = listOf(notPublic);
const linkLocalList = listOf(linkLocal);

function listOf(subnets: typeof notPublic): BlockList {
  const list = new BlockList();
  for (const [network, prefix, family] of subnets) list.addSubnet(network, prefix, family);
  return list;
}

/** `localhost` counts; any other name is judged by what it resolves to. */
export function isPrivate(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || holds(notPublicList, host);
}

function isLinkLocal(host: string): boolean {
  return holds(linkLocalList, host);
}

function holds(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}
