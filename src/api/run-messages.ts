import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Credentials, LeaseOutcome, ObserveAsk, Observed, Peer, RunAsk, RunResult } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import type { Exit } from "../sandbox/sandbox.ts";
import { Secret } from "../secret.ts";
import {
  type ObserveRequest,
  type ObserveResponseSchema,
  RunOutcome,
  type RunResultSchema,
  type RunStart,
  Signal,
} from "./gen/mayfly/v1/broker_pb.ts";
import { LeaseEnd } from "./gen/mayfly/v1/lease_pb.ts";
import type { JobSignal } from "./pending-signals.ts";

/** A run's first message as a question to the broker. What no policy could ever answer is refused here. */
export function askFrom(start: RunStart, peer: Peer): RunAsk {
  const { template, step, command, workspace, environment } = start;
  if (command[0] === "")
    throw new BrokerError("usage", "a command's name is not empty", { hint: "leave the command out where the step pins one" });
  if (!workspace.startsWith("/")) throw new BrokerError("usage", "the workspace is an absolute path");
  const names = Object.keys(environment);
  if (names.some((name) => name === "" || name.includes("=")))
    throw new BrokerError("usage", "a variable's name is not empty and has no '='");
  if ([workspace, ...command, ...names, ...Object.values(environment)].some((text) => text.includes("\0"))) {
    throw new BrokerError("usage", "a NUL byte can stand neither in a command, nor in a path, nor in the environment");
  }
  return { peer, credentials: credentialsIn(start), template, step, command, workspace, environment };
}

/** The same question, of which nothing is done but the answer. */
export function observationFrom({ template, step, command, ...rest }: ObserveRequest): Omit<ObserveAsk, "peer" | "signal"> {
  if (command.some((word) => word.includes("\0"))) throw new BrokerError("usage", "a NUL byte cannot stand in a command");
  return { credentials: credentialsIn(rest), template, step, command };
}

export function observedMessage({
  credentials,
  network,
  unmet,
  step,
  ...plain
}: Observed): MessageInitShape<typeof ObserveResponseSchema> {
  return {
    ...plain,
    ...(step === undefined ? {} : { step }),
    credentials: credentials.map(({ ttl, ...names }) => ({ ...names, ttl: durationFromMs(ttl) })),
    network: network.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`),
    unmet: [...unmet],
  };
}

function credentialsIn({ credentials }: Pick<RunStart, "credentials">): Credentials {
  switch (credentials.case) {
    case "token":
      if (credentials.value === "") break;
      return { kind: "token", token: Secret.of(credentials.value) };
    case "sessionHandle":
      if (credentials.value === "") break;
      return { kind: "session", handle: Secret.of(credentials.value) };
    case undefined:
      break;
  }
  throw new BrokerError("token-missing", "the run brings neither an identity token nor a session's handle");
}

const outcomes: Readonly<Record<Exit["kind"], RunOutcome>> = {
  exited: RunOutcome.EXITED,
  timeout: RunOutcome.TIMEOUT,
  oom: RunOutcome.OOM,
  cancelled: RunOutcome.CANCELLED,
  killed: RunOutcome.KILLED,
};

const ends: Readonly<Record<LeaseOutcome["end"], LeaseEnd>> = {
  revoked: LeaseEnd.REVOKED,
  pending: LeaseEnd.PENDING,
  expires: LeaseEnd.EXPIRES,
  exposed: LeaseEnd.EXPOSED,
};

export function resultMessage({ run, session, exit, leases, receipt }: RunResult): MessageInitShape<typeof RunResultSchema> {
  return {
    run,
    session,
    outcome: outcomes[exit.kind],
    exitCode: exit.code,
    leases: leases.map(({ end, expiresAt, ...names }) => ({
      ...names,
      end: ends[end],
      ...(expiresAt === undefined ? {} : { expiresAt: timestampFromMs(expiresAt) }),
    })),
    receipt,
  };
}

/** In both directions, so that the client and the door cannot disagree. */
export const signals: Readonly<Record<JobSignal, Signal>> = {
  SIGHUP: Signal.HUP,
  SIGINT: Signal.INT,
  SIGQUIT: Signal.QUIT,
  SIGUSR1: Signal.USR1,
  SIGUSR2: Signal.USR2,
  SIGTERM: Signal.TERM,
};

export const signalNames: ReadonlyMap<Signal, JobSignal> = new Map(
  (["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM"] as const).map((name) => [signals[name], name]),
);
