import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";

/** Every address of a name. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

/**
 * By the host's own resolver. Two questions at a time, and one for each name: a name server that hangs holds a thread of Node's
 * pool for each, and signatures are verified on the same four threads.
 */
export const resolveByHost: Resolve = atMost(2, (host) => lookup(host, { all: true }));

export function atMost(count: number, resolve: Resolve): Resolve {
  const asked = new Map<string, ReturnType<Resolve>>();
  const waiting: (() => void)[] = [];
  let busy = 0;
  const ask: Resolve = async (host) => {
    if (busy < count) busy += 1;
    else await new Promise<void>((goOn) => waiting.push(goOn));
    try {
      return await resolve(host);
    } finally {
      asked.delete(host);
      const next = waiting.shift();
      if (next === undefined) busy -= 1;
      else next();
    }
  };
  return (host) => {
    const answer = asked.get(host) ?? ask(host);
    asked.set(host, answer);
    return answer;
  };
}
