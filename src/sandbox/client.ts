import { connect } from "node:net";
import { type CallOptions, type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SandboxService } from "../api/gen/sandbox/v1/sandbox_pb.ts";
import { BrokerError } from "../errors.ts";
import type { Clock } from "../time.ts";
import { lacksOf } from "./lacks.ts";
import { findingOf } from "./messages.ts";
import { RemoteSandbox } from "./remote-sandbox.ts";
import type { Sandbox, Sandboxes, SandboxPlan, SandboxStatus } from "./sandbox.ts";

/** A connection of its own for each sandbox: one whose reader is slow then holds up no other's flow control. */
export interface Line extends Disposable {
  readonly client: Client<typeof SandboxService>;
}

/** sandboxd, as `serve` sees it. */
export function connectSandboxes(socket: string, clock: Clock): Sandboxes {
  return {
    open: (plan, signal) => openRemote(call(socket), { plan, signal, clock }),
    lacks: (plan) => lacksOf(plan).map(({ message }) => message),
    status: () => statusOf(socket),
  };
}

interface Opening {
  readonly plan: SandboxPlan;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

async function openRemote(line: Line, { plan, signal, clock }: Opening): Promise<Sandbox> {
  const sandbox = new RemoteSandbox(line, clock);
  const giveUp = () => void sandbox.remove();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    if (signal.aborted) throw new BrokerError("cancelled");
    await sandbox.open(plan);
    return sandbox;
  } catch (error) {
    await sandbox.remove();
    throw signal.aborted ? new BrokerError("cancelled", undefined, { cause: error }) : error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

async function statusOf(socket: string): Promise<SandboxStatus> {
  using line = call(socket);
  const options: CallOptions = { timeoutMs: 5_000 };
  const { runtime, running, capacity, findings } = await line.client.probe({}, options);
  return { runtime, running, capacity, findings: findings.map(findingOf) };
}

/** Nothing is compressed: it is one machine, and a job's output may hold what an attacker chose beside a secret. */
function call(socket: string): Line {
  const baseUrl = "http://sandboxd";
  const session = new Http2SessionManager(baseUrl, {}, { createConnection: () => connect(socket) });
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "2",
    sessionManager: session,
    acceptCompression: [],
    readMaxBytes: 2 ** 22,
  });
  return { client: createClient(SandboxService, transport), [Symbol.dispose]: () => session.abort() };
}
