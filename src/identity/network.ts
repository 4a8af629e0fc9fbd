import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** PEM; replaces the public authorities. */
  readonly authority: string | undefined;
  /** Loopback, private and link-local addresses, and plain http. */
  readonly allowPrivate: boolean;
  readonly maxBytes: number;
}

/**
 * A GET that follows no redirect. Resolves with the body only when the status is 200 and it has at most `maxBytes`; rejects
 * otherwise, and when the signal is aborted.
 */
export type Fetch = (url: string, options: FetchOptions) => Promise<Uint8Array>;

/** Every address of a name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

const resolveByHost: Resolve = (host) => lookup(host, { all: true });

/** The real network. The address that was checked is the address that is connected to: a second DNS answer changes nothing. */
export const issuerFetch: Fetch = fetchOver(resolveByHost);

export function fetchOver(resolve: Resolve): Fetch {
  return async (url, options) => {
    const target = new URL(url);
    checkTarget(target, options.allowPrivate);
    const response = await connect(target, resolve, options);
    try {
      checkAnswer(response);
      return await bodyOf(response, options.maxBytes);
    } finally {
      response.destroy();
    }
  };
}

function checkTarget(target: URL, allowPrivate: boolean): void {
  if (allowPrivate) return;
  if (target.protocol !== "https:") throw new Error("only https is allowed");
  if (isPrivate(target.hostname.replace(/^\[|\]$/g, ""))) throw new Error("a private address is not allowed");
}

function connect(target: URL, resolve: Resolve, options: FetchOptions): Promise<IncomingMessage> {
  const request = target.protocol === "https:" ? httpsRequest : httpRequest;
  const settings: RequestOptions & { ca?: string } = {
    agent: false,
    signal: options.signal,
    lookup: checkedLookup(resolve, options.allowPrivate),
    headers: { accept: "application/json", "accept-encoding": "identity" },
  };
  if (options.authority !== undefined) settings.ca = options.authority;
  return new Promise((connected, failed) => {
    request(target, settings, connected).once("error", failed).end();
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
  if (first === undefined) throw new Error("the name has no address");
  if (!allowPrivate && [first, ...others].some(({ address }) => isPrivate(address)))
    throw new Error("a private address is not allowed");
  return [first, ...others];
}

function checkAnswer(response: IncomingMessage): void {
  if (response.statusCode !== 200) throw new Error(`the answer's status is ${response.statusCode}`);
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw new Error("a compressed answer was not asked for");
}

async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response) {
    if (!(chunk instanceof Uint8Array)) throw new Error("the body is not bytes");
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer is longer than ${maxBytes} bytes`);
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
  ["2002::", 16, "ipv6"],
  ["fc00::", 7, "ipv6"],
  ["fe80::", 10, "ipv6"],
  ["ff00::", 8, "ipv6"],
];

const blocked = new BlockList();
for (const [network, prefix, family] of notPublic) blocked.addSubnet(network, prefix, family);

/** `localhost` counts; any other name is judged by what it resolves to. */
export function isPrivate(host: string): boolean {
  if (host === "localhost" || host.endsWith(".localhost")) return true;
  const family = isIP(host);
  if (family === 0) return false;
  return blocked.check(host, family === 6 ? "ipv6" : "ipv4");
}
