import type { LookupAddress } from "node:dns";
import { lookup, Resolver } from "node:dns/promises";
import { type Clock, type Duration, systemClock, within } from "../../time.ts";
import { unreachable } from "./trouble.ts";

/** Every address of a name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

export interface ResolveParts {
  /** Whose questions each hold a thread. */
  readonly byHost: Resolve;
  /** Whose questions hold none. */
  readonly byServers: Resolve;
  /** Of `byHost` at a time. */
  readonly most: number;
  readonly clock: Clock;
}

/** Long enough for a name server that works; short enough that the rest of an attempt fits into its 4.5 s. */
const patience: Duration = 1_000;

/**
 * By the host's own resolver, which knows /etc/hosts and search domains: two names at a time, and each once for all who ask. A name server
 * that hangs holds a thread of Node's pool for each, and signatures are verified on the same four threads. Who waits a second for such
 * names asks the name servers of /etc/resolv.conf himself, which takes no thread: one issuer's name server stops no other issuer.
 */
export const resolveByHost: Resolve = fairly({
  byHost: (host) => lookup(host, { all: true }),
  byServers: askServers,
  most: 2,
  clock: systemClock,
});

export function fairly({ byHost, byServers, most, clock }: ResolveParts): Resolve {
  const asked = new Map<string, ReturnType<Resolve>>();
  const waiting = new Set<() => void>();
  let busy = 0;

  const onThread: Resolve = async (host) => {
    try {
      return await byHost(host);
    } finally {
      const [next] = waiting;
      if (next === undefined) busy -= 1;
      else next();
    }
  };
  const inTurn: Resolve = async (host) => {
    const { promise, resolve } = Promise.withResolvers<"turn">();
    const turn = () => {
      waiting.delete(turn);
      resolve("turn");
    };
    waiting.add(turn);
    const outcome = await within(clock, patience, promise, () => (waiting.delete(turn) ? "late" : "turn"));
    return outcome === "turn" ? onThread(host) : byServers(host);
  };
  const ask: Resolve = (host) => {
    if (busy === most) return inTurn(host);
    busy += 1;
    return onThread(host);
  };
  return (host) => {
    const answer = asked.get(host) ?? ask(host).finally(() => asked.delete(host));
    asked.set(host, answer);
    return answer;
  };
}

/** Without /etc/hosts and search domains. Made anew each time, so that a changed resolv.conf is read. */
export async function askServers(host: string, servers?: readonly string[]): Promise<readonly LookupAddress[]> {
  const resolver = new Resolver({ timeout: patience, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const [ipv4, ipv6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const addresses = [
    ...(ipv4.status === "fulfilled" ? ipv4.value.map((address) => ({ address, family: 4 })) : []),
    ...(ipv6.status === "fulfilled" ? ipv6.value.map((address) => ({ address, family: 6 })) : []),
  ];
  if (addresses.length === 0) throw unreachable("the name servers gave no address");
  return addresses;
}
