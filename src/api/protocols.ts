import { createServer as createHttp1, type Server as Http1Server } from "node:http";
import { createServer as createHttp2, type Http2Server } from "node:http2";
import fastify from "fastify";
import type { Protocols } from "./entrance.ts";
import { limits } from "./limits.ts";
import { type RequestParts, requests } from "./requests.ts";

export interface Speaking {
  readonly protocols: Protocols;
  stop(): Promise<void>;
}

/**
 * One HTTP/1.1 and one HTTP/2 server with the same handlers behind them. Neither listens: the entrance hands them connections of all
 * three sockets. The deadlines that Node keeps for listening servers only are kept by `connection.ts` and `requests.ts`.
 */
export async function speak(parts: RequestParts): Promise<Speaking> {
  const one = fastify<Http1Server>({
    serverFactory: (handler) => createHttp1({ maxHeaderSize: limits.headerBytes }, handler),
  });
  const two = fastify<Http2Server>({ http2: true, serverFactory: (handler) => createHttp2(http2Options, handler) });
  await one.register(requests, parts);
  await two.register(requests, parts);
  await Promise.all([one.ready(), two.ready()]);
  // One more than is allowed, since Node drops what is beyond it without a word and `requests.ts` must see that there were too many.
  one.server.maxHeadersCount = limits.headers + 1;
  return {
    protocols: {
      http1: (socket) => {
        one.server.emit("connection", socket);
        process.nextTick(() => socket.resume());
      },
      http2: (socket) => {
        // A client that was killed says no goodbye: its end of the stream is the end of its calls.
        socket.allowHalfOpen = false;
        two.server.emit("connection", socket);
      },
    },
    stop: async () => void (await Promise.all([one.close(), two.close()])),
  };
}

/** Has fastify load what it loads at first use: afterwards the broker may be unable to read its own folder. */
export async function rehearse(): Promise<void> {
  const rehearsal = fastify();
  rehearsal.get("/", () => "");
  await rehearsal.inject("/");
  await rehearsal.close();
}

/** `:method`, `:scheme`, `:authority` and `:path` come on top of the headers that are counted. */
const pseudoHeaders = 4;

const http2Options = {
  maxHeaderListPairs: limits.headers + pseudoHeaders,
  maxSessionInvalidFrames: 16,
  settings: { enablePush: false, maxConcurrentStreams: limits.streams, maxHeaderListSize: limits.headerBytes },
};
