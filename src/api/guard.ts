import { randomBytes } from "node:crypto";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { asBrokerError, BrokerError } from "../errors.ts";
import { caller } from "./caller.ts";
import type { SocketName } from "./connection.ts";
import { toConnectError } from "./failure.ts";
import { AuditService } from "./gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "./gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "./gen/mayfly/v1/control_pb.ts";
import type { DoorLog } from "./log.ts";

const offers: Readonly<Record<SocketName, string>> = {
  broker: BrokerService.typeName,
  audit: AuditService.typeName,
  control: ControlService.typeName,
};

/** All services are known on all sockets, so that a call at the wrong door hears where the right one is; here it is turned away. */
export const rightDoor: Interceptor = (next) => async (request) => {
  const from = request.contextValues.get(caller);
  if (from === undefined || offers[from.door] !== request.service.typeName)
    throw wrongDoor(request.service.typeName, from?.door);
  return next(request);
};

function wrongDoor(service: string, door: SocketName | undefined): BrokerError {
  const right = Object.entries(offers).find(([, offered]) => offered === service)?.[0];
  return new BrokerError("not-allowed", `${service} is not offered on ${door ?? "no"}.sock`, {
    hint: `use ${right ?? "another"}.sock`,
  });
}

/**
 * The one place where a handler's failure becomes an answer, and the one place where it is logged: Connect on fastify would answer
 * and say nothing to anybody. What we did not foresee crosses as `internal` and an id; its text stays in the log under that id.
 */
export function speakFailures(log: DoorLog): Interceptor {
  return (next) => async (request) => {
    const speak = (error: unknown): ConnectError => spoken(error, request.method.name, log);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: rethrowing(response.message, speak) } : response;
    } catch (error) {
      throw speak(error);
    }
  };
}

async function* rethrowing<T>(messages: AsyncIterable<T>, speak: (error: unknown) => ConnectError): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw speak(error);
  }
}

function spoken(error: unknown, call: string, log: DoorLog): ConnectError {
  // Connect's own, about the request's form: it says what the caller sent, and knows nothing else.
  if (error instanceof ConnectError) return error;
  const failure = asBrokerError(error);
  const { code, message, detail, cause } = failure;
  if (code !== "internal") {
    log.info({ call, code, detail, err: cause }, message);
    return toConnectError(failure, undefined);
  }
  const id = `failure-${randomBytes(8).toString("hex")}`;
  log.error({ call, code, id, detail, err: cause ?? error }, "a call failed in a way that was not foreseen");
  return toConnectError(new BrokerError("internal"), id);
}
