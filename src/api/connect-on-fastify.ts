import { type ConnectRouter, type ConnectRouterOptions, type ContextValues, createConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { DoorLog } from "./log.ts";

interface Mounting {
  readonly routes: (router: ConnectRouter) => void;
  readonly options: ConnectRouterOptions;
  readonly contextValues: (request: FastifyRequest) => ContextValues;
  readonly log: DoorLog;
}

/**
 * Mounts Connect's handlers, as `@connectrpc/connect-fastify` does, but for two things: what fails while an answer is being written goes
 * to the operator's log, where that package writes to the console, past the log's masker; and fastify is told that the answer is ours.
 */
export function mountConnect(app: FastifyInstance, { routes, options, contextValues, log }: Mounting): void {
  // Bodies are read by Connect alone, within its limits.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null));
  const router = createConnectRouter(options);
  routes(router);
  for (const handler of router.handlers) {
    const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      reply.hijack();
      try {
        const asked = universalRequestFromNodeRequest(request.raw, reply.raw, undefined, contextValues(request));
        await universalResponseToNodeResponse(await handler(asked), reply.raw);
      } catch (error) {
        log.info({ call: handler.method.name, err: error }, "an answer could not be written: its reader has gone");
        reply.raw.destroy();
      }
    };
    app.all(handler.requestPath, answer);
  }
}
