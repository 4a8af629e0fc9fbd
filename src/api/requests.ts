import { type ConnectRouter, createContextValues } from "@connectrpc/connect";
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import { auditService } from "./audit-service.ts";
import { brokerService } from "./broker-service.ts";
import { caller } from "./caller.ts";
import type { Calls } from "./calls.ts";
import { mountConnect } from "./connect-on-fastify.ts";
import { Connection } from "./connection.ts";
import { controlService } from "./control-service.ts";
import { AuditService } from "./gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "./gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "./gen/mayfly/v1/control_pb.ts";
import { hungUp, rightDoor, speakFailures, unreadable } from "./guard.ts";
import { limits } from "./limits.ts";
import type { DoorParts } from "./server.ts";
import type { Tarpit } from "./tarpit.ts";

export interface RequestParts extends DoorParts {
  readonly calls: Calls;
  readonly tarpit: Tarpit;
}

/** What both protocols do with a request: count it, bound it, find out who asks, and hand it to its service. */
export const requests: FastifyPluginCallback<RequestParts> = (app, parts, done) => {
  app.addHook("onRequest", async (request, reply) => {
    follow(request, reply, parts);
    if (tooMuch(request.raw.rawHeaders))
      await reply.code(431).send({ code: "resource_exhausted", message: "too many headers, or too long ones" });
  });
  app.setNotFoundHandler(async (_, reply) => reply.code(404).send({ code: "unimplemented", message: "there is no such call" }));
  mountConnect(app, {
    routes: (router) => routes(router, parts),
    contextValues: ({ raw }) => createContextValues().set(caller, Connection.of(raw.socket)),
    unreadable: ({ raw }) => unreadable(Connection.of(raw.socket), parts),
    hungUp: ({ raw }, call) => hungUp({ call, from: Connection.of(raw.socket) }, parts),
    options: {
      interceptors: [speakFailures(parts), rightDoor],
      readMaxBytes: limits.message,
      // A compressed request is a small one that becomes a large one; over a Unix socket nobody needs it.
      acceptCompression: [],
      // A misspelt restriction must not be a lifted one.
      jsonOptions: { ignoreUnknownFields: false, alwaysEmitImplicit: true },
    },
  });
  done();
};

/** Names and values by turns. What HTTP/2 puts before them (`:path`) is bounded by the same bytes, but is not counted as a header. */
function tooMuch(headers: readonly string[]): boolean {
  const names = headers.filter((text, index) => index % 2 === 0 && !text.startsWith(":"));
  const bytes = headers.reduce((sum, text) => sum + text.length, 0);
  return names.length > limits.headers || bytes > limits.headerBytes;
}

function routes(router: ConnectRouter, parts: RequestParts): void {
  router.service(BrokerService, brokerService(parts), { maxTimeoutMs: limits.runTimeout });
  router.service(AuditService, auditService(parts), { maxTimeoutMs: limits.timeout });
  router.service(ControlService, controlService(parts), { maxTimeoutMs: limits.timeout });
}

/** A run's request goes on for as long as its stdin does; its first message has a deadline of its own. */
const openEnded = `/${BrokerService.typeName}/${BrokerService.method.run.name}`;

/** Keeps the connection's idle clock and the shutdown's count right, and ends a connection on which a body drips in. */
function follow(request: FastifyRequest, reply: FastifyReply, { calls, clock }: RequestParts): void {
  const connection = Connection.of(request.raw.socket);
  const call = calls.begin();
  connection.callBegins();
  const whole = new AbortController();
  request.raw.once("end", () => whole.abort());
  reply.raw.once("close", () => {
    whole.abort();
    connection.callEnds();
    call[Symbol.dispose]();
  });
  if (request.url === openEnded) return;
  clock.sleep(limits.body, whole.signal).then(
    () => connection.close(),
    () => undefined,
  );
}
