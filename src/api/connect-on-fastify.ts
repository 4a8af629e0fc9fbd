import { type ConnectRouter, type ConnectRouterOptions, type ContextValues, createConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { heard } from "./caller.ts";

interface Mounting {
  readonly routes: (router: ConnectRouter) => void;
  readonly options: ConnectRouterOptions;
  readonly contextValues: (request: FastifyRequest) => ContextValues;
  /** Connect refused a request by itself, before any interceptor saw it; awaited before the answer goes out. */
  readonly unreadable: (request: FastifyRequest) => Promise<void>;
  readonly hungUp: (request: FastifyRequest, call: string) => void;
}

/**
 * Mounts Connect's handlers, as `@connectrpc/connect-fastify` does, but for two things: what fails while an answer is being written goes
 * to the operator's log, where that package writes to the console, past the log's masker; and fastify is told that the answer is ours.
 */
export function mountConnect(app: FastifyInstance, { routes, options, contextValues, ...hear }: Mounting): void {
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
        const answered = await handler(asked);
        if (answered.status >= 400 && !asked.contextValues?.get(heard)) await hear.unreadable(request);
        await universalResponseToNodeResponse(answered, reply.raw);
      } catch {
        hear.hungUp(request, handler.method.name);
        reply.raw.destroy();
      }
    };
    app.all(handler.requestPath, answer);
  }
}
