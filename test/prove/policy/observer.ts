import process from "node:process";
import { createInterface } from "node:readline";
import { openClient } from "../../../src/api/client.ts";
import { fromConnectError } from "../../../src/api/failure.ts";
import { BrokerService } from "../../../src/api/gen/mayfly/v1/broker_pb.ts";
import { become } from "../../../src/privileges.ts";

/*
 * A runner of its own user that asks what it would be granted: uid and group come first. Each line of its input is an order, each line of its
 * output the answers to it. Every module is loaded before the user changes.
 */

/** So many requests at once, or one after the other at a pace, over so many connections. */
export interface ObserveOrder {
  readonly socket: string;
  readonly token: string;
  /** The template that each request names. */
  readonly templates: readonly string[];
  readonly connections: number;
  /** Milliseconds between two requests; 0: all of them at once. */
  readonly pace: number;
}

/** What came back; `id` is the ledger's, of an observation or of a denial. */
export interface Answer {
  readonly id: string;
  readonly template: string;
  /** `granted 300`: the life in seconds of what it would have had; or the code of the denial. */
  readonly outcome: string;
  /** Milliseconds since the epoch. */
  readonly asked: number;
  readonly answered: number;
}

type Client = ReturnType<typeof openClient<typeof BrokerService>>;

async function ask(client: Client, token: string, template: string): Promise<Answer> {
  const asked = Date.now();
  const credentials = { case: "token", value: token } as const;
  return client.call.observe({ credentials, template, command: ["true"] }, { timeoutMs: 60_000 }).then(
    ({ observation, credentials: given }) => {
      const lives = given.map(({ ttl }) => Number(ttl?.seconds ?? 0));
      return { id: observation, template, outcome: `granted ${lives.join(" ")}`, asked, answered: Date.now() };
    },
    (error: unknown) => {
      const { code, id } = fromConnectError(error);
      return { id: id ?? "", template, outcome: code, asked, answered: Date.now() };
    },
  );
}

async function obey({ socket, token, templates, connections, pace }: ObserveOrder): Promise<readonly Answer[]> {
  const clients = Array.from({ length: connections }, () => openClient(BrokerService, socket));
  const answers = templates.map(async (template, nth) => {
    await new Promise((resolve) => setTimeout(resolve, nth * pace));
    return ask(clients[nth % connections] as Client, token, template);
  });
  const all = await Promise.all(answers);
  for (const client of clients) client[Symbol.dispose]();
  return all;
}

const [uid, group] = process.argv.slice(2).map(Number);
become({ uid: uid ?? -1, gid: uid ?? -1 }, [group ?? -1]);
for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line) as ObserveOrder))}\n`);
