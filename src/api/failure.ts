import { ConnectError, Code as Status } from "@connectrpc/connect";
import { BrokerError, isCode } from "../errors.ts";
import { outside } from "./codes.ts";
import { FailureSchema } from "./gen/mayfly/v1/failure_pb.ts";

/** For the wire: code, message, hint and id. `detail` and `cause` stay behind. */
export function toConnectError(error: BrokerError, id: string | undefined): ConnectError {
  const detail = { desc: FailureSchema, value: { code: error.code, hint: error.hint ?? "", id: id ?? error.id ?? "" } };
  return new ConnectError(error.message, outside[error.code].status, undefined, [detail]);
}

/** What a client caught, in our own words: a failure that the broker stated, else what kept us from hearing one. */
export function fromConnectError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const caught = ConnectError.from(error);
  const failure = caught.findDetails(FailureSchema)[0];
  if (failure !== undefined && isCode(failure.code)) {
    return new BrokerError(failure.code, caught.rawMessage, {
      cause: error,
      ...(failure.hint === "" ? {} : { hint: failure.hint }),
      ...(failure.id === "" ? {} : { id: failure.id }),
    });
  }
  return unstated(caught, failure?.code);
}

function unstated(caught: ConnectError, code: string | undefined): BrokerError {
  if (code !== undefined)
    return new BrokerError("internal", caught.rawMessage, {
      cause: caught,
      hint: `this mayfly is older than its broker and does not know the code ${code}`,
    });
  const call = systemCall(caught);
  if (call !== undefined) return unreachable(call, caught);
  switch (caught.code) {
    case Status.Canceled:
      return new BrokerError("cancelled", "the call was ended before its answer", { cause: caught });
    case Status.InvalidArgument:
    case Status.ResourceExhausted:
    case Status.DeadlineExceeded:
    case Status.Unimplemented:
      return new BrokerError("usage", `the broker does not take this request: ${caught.rawMessage}`, { cause: caught });
    default:
      return new BrokerError("broker-unreachable", "the connection to the broker broke", {
        cause: caught,
        hint: "see the broker's log; what it had issued, it ends by itself",
      });
  }
}

interface SystemCall {
  readonly code: string;
  readonly address: string;
}

function systemCall(error: unknown): SystemCall | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("address" in error && typeof error.address === "string" && "code" in error && typeof error.code === "string") {
    return { code: error.code, address: error.address };
  }
  return systemCall(error.cause);
}

function unreachable({ code, address }: SystemCall, cause: unknown): BrokerError {
  const hint =
    code === "EACCES"
      ? "your user is not in the socket's group: `ls -l` it, and see `sockets:` in mayfly.yaml"
      : "is `mayfly serve` running? Name another socket with --socket, or its folder with MAYFLY_RUN";
  return new BrokerError("broker-unreachable", `no broker answers on ${address} (${code})`, { cause, hint });
}
