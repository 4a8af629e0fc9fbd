import { randomBytes } from "node:crypto";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { asBrokerError, BrokerError, type Code } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { caller, heard } from "./caller.ts";
import { outside } from "./codes.ts";
import type { Connection, SocketName } from "./connection.ts";
import { onRecord } from "./denial.ts";
import { toConnectError } from "./failure.ts";
import { AuditService } from "./gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "./gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "./gen/mayfly/v1/control_pb.ts";
import type { DoorLog } from "./log.ts";
import type { Tarpit } from "./tarpit.ts";

const offers: Readonly<Record<SocketName, string>> = {
  broker: BrokerService.typeName,
  audit: AuditService.typeName,
  control: ControlService.typeName,
};

/**
 * Whom a socket is for, and what it offers. All services are known on all sockets, so that a call at the wrong door hears where the
 * right one is; here it is turned away.
 */
export const rightDoor: Interceptor = (next) => async (request) => {
  const from = request.contextValues.get(caller);
  if (from?.allowed === false) throw notFor(from);
  if (from === undefined || offers[from.door] !== request.service.typeName)
    throw wrongDoor(request.service.typeName, from?.door);
  return next(request);
};

function notFor({ door, peer }: Connection): BrokerError {
  return new BrokerError("peer-not-allowed", `${door}.sock is not for the user ${peer.uid}`, {
    hint: `\`sockets.${door}\` in mayfly.yaml names whom it is for, in allow_uids and allow_groups; root is let in where it is named, too`,
  });
}

function wrongDoor(service: string, door: SocketName | undefined): BrokerError {
  const right = Object.entries(offers).find(([, offered]) => offered === service)?.[0];
  return new BrokerError("not-allowed", `${service} is not offered on ${door ?? "no"}.sock`, {
    hint: `use ${right ?? "another"}.sock`,
  });
}

export interface Speaking {
  readonly log: DoorLog;
  readonly ledger: Ledger;
  readonly tarpit: Tarpit;
}

/** A call that failed, and who made it. */
export interface Failed {
  readonly call: string;
  readonly from: Connection | undefined;
}

/**
 * The one place where a handler's failure becomes an answer, and the one place where it is logged: Connect on fastify would answer
 * and say nothing to anybody. What we did not foresee crosses as `internal` and an id; its text stays in the log under that id.
 */
export function speakFailures(parts: Speaking): Interceptor {
  return (next) => async (request) => {
    request.contextValues.set(heard, true);
    const failed = { call: request.method.name, from: request.contextValues.get(caller) };
    const speak = async (error: unknown): Promise<ConnectError> => spoken(error, failed, parts);
    try {
      await inTurn(request.signal, failed, parts);
      const response = await next(request);
      return response.stream ? { ...response, message: rethrowing(response.message, speak) } : response;
    } catch (error) {
      throw await speak(error);
    }
  };
}

/** A flood is told so without a look at what it asks. */
async function inTurn(signal: AbortSignal, { from }: Failed, { tarpit }: Speaking): Promise<void> {
  if (from === undefined) return;
  if (!(await tarpit.enter(from)))
    throw new BrokerError("busy", "too many calls of this connection were refused", {
      hint: "find out why they are refused; each further refusal is answered a second later",
    });
  signal.throwIfAborted();
}

async function* rethrowing<T>(messages: AsyncIterable<T>, speak: (error: unknown) => Promise<ConnectError>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw await speak(error);
  }
}

async function spoken(error: unknown, failed: Failed, parts: Speaking): Promise<ConnectError> {
  // Connect's own, about the request's form: it says what the caller sent, and knows nothing else.
  if (error instanceof ConnectError) return error;
  const failure = asBrokerError(error);
  if (failure.code === "internal") return unforeseen(failure, error, failed, parts);
  const recorded = await onRecord(failure, failed.from?.peer, parts);
  await slowedDown(recorded, failed, parts);
  return toConnectError(recorded, undefined);
}

function unforeseen({ code, detail, cause }: BrokerError, error: unknown, { call }: Failed, { log }: Speaking): ConnectError {
  const id = `failure-${randomBytes(8).toString("hex")}`;
  log.error({ call, code, id, detail, err: cause ?? error }, "a call failed in a way that was not foreseen");
  return toConnectError(new BrokerError("internal"), id);
}

/** What a caller did not bring about itself, it need not wait for. */
const othersDoing: ReadonlySet<string> = new Set(["upstream", "broker", "busy"]);

/** The site's last word may have been too long in coming because of what was asked. */
function isOthersDoing(code: Code): boolean {
  return code !== "last-word-unavailable" && othersDoing.has(outside[code].exit);
}

/** Beyond what the ledger writes down one by one, the log is silent too: neither is a way to fill the disk. */
async function slowedDown(failure: BrokerError, { call, from }: Failed, { log, tarpit }: Speaking): Promise<void> {
  const { code, message, id, detail } = failure;
  const frequency = from === undefined ? "rare" : tarpit.count(from);
  if (frequency === "rare" || from === undefined) return log.info({ call, code, id, detail, err: causeOf(failure) }, message);
  if (frequency !== "often") return keepOut(from, frequency, log);
  if (!isOthersDoing(code)) await tarpit.hold(from);
}

/** What brought it about, beyond the refusal as it was before it was given an id. */
function causeOf({ message, cause }: BrokerError): unknown {
  return cause instanceof BrokerError && cause.message === message ? causeOf(cause) : cause;
}

function keepOut(from: Connection, frequency: "pressing" | "shut", log: DoorLog): void {
  const { uid, pid } = from.peer;
  if (frequency === "pressing")
    log.warn({ door: from.door, uid, pid }, "a process goes on though its calls are refused, so it is kept out for a while");
  from.close();
}

/** A request that no handler could read: refused by Connect itself, and on record like any other refusal. */
export async function unreadable(from: Connection, parts: Speaking): Promise<void> {
  const error = new BrokerError("usage", "a request that cannot be read");
  await slowedDown(await onRecord(error, from.peer, parts), { call: "unreadable", from }, parts);
}

/** A caller that did not wait for its answer; counted, since hanging up must not be the way around the wait. */
export function hungUp(failed: Failed, parts: Speaking): void {
  const frequency = failed.from === undefined ? "rare" : parts.tarpit.count(failed.from);
  if (frequency === "rare") parts.log.info({ call: failed.call }, "an answer could not be written: its reader has gone");
  else if (frequency !== "often" && failed.from !== undefined) keepOut(failed.from, frequency, parts.log);
}
