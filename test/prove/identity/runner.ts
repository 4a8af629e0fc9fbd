import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openClient } from "../../../src/api/client.ts";
import { fromConnectError } from "../../../src/api/failure.ts";
import { BrokerService } from "../../../src/api/gen/mayfly/v1/broker_pb.ts";
import { become } from "../../../src/privileges.ts";

/*
 * A runner of its own user, in a process of its own: uid and group come first. Each line of its input is an order, each line of its output
 * the answer to it. Every module is loaded before the user changes.
 */

/** `presentations` tokens at once, each on a connection of its own. */
interface Present {
  readonly kind: "present";
  readonly presentations: readonly { readonly socket: string; readonly token: string }[];
}

/** Bad tokens, so many a second, over so many connections, whether answers come or not. */
interface Flood {
  readonly kind: "flood";
  readonly socket: string;
  readonly tokens: readonly string[];
  readonly connections: number;
  readonly perSecond: number;
  readonly seconds: number;
}

/** One good token after the other over one connection, at a pace, until they are used up. */
interface Steady {
  readonly kind: "steady";
  readonly socket: string;
  readonly tokens: readonly string[];
  readonly everyMilliseconds: number;
}

export type Order = Present | Flood | Steady;

/** `accepted`, or the code of the refusal. */
export type Outcome = string;

/** When a call began (milliseconds since the epoch), and how long its answer took. */
export interface Timed {
  readonly at: number;
  readonly took: number;
  readonly outcome: Outcome;
}

export interface Flooded {
  /** How many calls were answered how. */
  readonly outcomes: Readonly<Record<Outcome, number>>;
  readonly unsent: number;
}

type Client = ReturnType<typeof openClient<typeof BrokerService>>;

function start(client: Client, token: string): Promise<Outcome> {
  return client.call.startSession({ token }, { timeoutMs: 30_000 }).then(
    () => "accepted",
    (error: unknown) => fromConnectError(error).code,
  );
}

async function present({ presentations }: Present): Promise<readonly Outcome[]> {
  const clients = presentations.map(({ socket }) => openClient(BrokerService, socket));
  const outcomes = await Promise.all(clients.map((client, nth) => start(client, presentations[nth]?.token ?? "")));
  for (const client of clients) client[Symbol.dispose]();
  return outcomes;
}

/** So many calls of one connection may wait for their answers; what would be one more is offered, and not sent. */
const mostWaiting = 64;

async function flood({ socket, tokens, connections, perSecond, seconds }: Flood): Promise<Flooded> {
  const outcomes: Record<Outcome, number> = {};
  let unsent = 0;
  const connection = async (nth: number): Promise<void> => {
    using client = openClient(BrokerService, socket);
    const calls = new Set<Promise<void>>();
    const call = (token: string): void => {
      if (calls.size >= mostWaiting) unsent += 1;
      else {
        const answered = start(client, token).then((outcome) => {
          outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
          calls.delete(answered);
        });
        calls.add(answered);
      }
    };
    const began = performance.now() + (nth * 1_000 * connections) / perSecond / connections;
    for (let turn = 0; turn < (seconds * perSecond) / connections; turn++) {
      await sleep(Math.max(0, began + (turn * 1_000 * connections) / perSecond - performance.now()));
      call(tokens[(nth + turn) % tokens.length] ?? "");
    }
    await Promise.all(calls);
  };
  await Promise.all(Array.from({ length: connections }, (_, nth) => connection(nth)));
  return { outcomes, unsent };
}

async function steady({ socket, tokens, everyMilliseconds }: Steady): Promise<readonly Timed[]> {
  using client = openClient(BrokerService, socket);
  const timed: Timed[] = [];
  for (const token of tokens) {
    const next = sleep(everyMilliseconds);
    const [at, began] = [Date.now(), performance.now()];
    const outcome = await start(client, token);
    timed.push({ at, took: performance.now() - began, outcome });
    await next;
  }
  return timed;
}

function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "present":
      return present(order);
    case "flood":
      return flood(order);
    case "steady":
      return steady(order);
  }
}

const [uid, group] = process.argv.slice(2).map(Number);
become({ uid: uid ?? -1, gid: uid ?? -1 }, [group ?? -1]);
for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line) as Order))}\n`);
