import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { fromConnectError } from "../../src/api/failure.ts";
import { createDoor, type Door, type DoorParts } from "../../src/api/server.ts";
import type { Group } from "../../src/api/socket-file.ts";
import type { BrokerError } from "../../src/errors.ts";
import { loadOrCreateSigningKey } from "../../src/ledger/keys.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { loadLedger } from "../../src/ledger/thread.ts";
import { type Clock, systemClock } from "../../src/time.ts";
import { EchoBroker } from "./echo-broker.ts";

export interface OpenDoor extends AsyncDisposable {
  readonly door: Door;
  readonly broker: EchoBroker;
  readonly ledger: Ledger;
  readonly folder: string;
  /** What was logged: level, fields and message. */
  readonly logged: { readonly level: string; readonly fields: object; readonly message: string }[];
  readonly asked: { readonly verb: string; readonly who: string; readonly why: string }[];
}

interface OwnParts extends Partial<Pick<DoorParts, "clock" | "sockets" | "broker">> {
  /** By which the ledger dates its entries. */
  readonly ledgerClock?: Clock;
}

/** The real door and the real ledger; behind them the echo broker. */
export async function openDoor({ ledgerClock = systemClock, ...parts }: OwnParts = {}): Promise<OpenDoor> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-door-"));
  const { open, stop } = await loadLedger();
  const key = await loadOrCreateSigningKey(join(folder, "ledger.key"));
  const ledger = await open({ path: join(folder, "ledger.db"), key, origin: "mayfly.test/door", clock: ledgerClock });
  const broker = new EchoBroker();
  const logged: OpenDoor["logged"] = [];
  const asked: OpenDoor["asked"] = [];
  const level = (name: string) => (fields: object, message: string) => void logged.push({ level: name, fields, message });
  const door = await createDoor({
    broker,
    ledger,
    clock: systemClock,
    log: { info: level("info"), warn: level("warn"), error: level("error") },
    sockets: ownSockets(join(folder, "run")),
    reload: async (reason) => {
      asked.push({ verb: "reload", ...reason });
      return { digest: "cd".repeat(32), templates: ["echo"] };
    },
    drain: async (reason) => void asked.push({ verb: "drain", ...reason }),
    ...parts,
  });
  return {
    door,
    broker,
    ledger,
    folder,
    logged,
    asked,
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await ledger[Symbol.asyncDispose]();
      await stop().catch(() => undefined);
      await rm(folder, { recursive: true });
    },
  };
}

export function ownSockets(folder: string): DoorParts["sockets"] {
  const gid = process.getgid?.() ?? 0;
  return socketsOf(folder, [gid, gid, gid], gid);
}

/** One group for the folder, and for the broker's, the auditors' and the responders' socket one each. */
export function socketsOf(
  folder: string,
  [broker, audit, control]: readonly [Group, Group, Group],
  group: Group,
): DoorParts["sockets"] {
  return { folder, group, broker: { group: broker }, audit: { group: audit }, control: { group: control } };
}

/** A clock on which every wait is so many times shorter. */
export function hurried(times: number): Clock {
  return { ...systemClock, sleep: (span, signal) => systemClock.sleep(span / times, signal) };
}

/** What a call was refused with, in our own words. */
export async function refusal(call: Promise<unknown>): Promise<BrokerError> {
  const error: unknown = await call.then(
    () => new Error("it was answered"),
    (refused: unknown) => refused,
  );
  if (error instanceof ConnectError) return fromConnectError(error);
  throw error;
}

export function grpcClient<Service extends DescService>(service: Service, socket: string): Client<Service> {
  return createClient(
    service,
    createGrpcTransport({ baseUrl: "http://localhost", nodeOptions: { createConnection: () => connect(socket) } }),
  );
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** A unary call as anything that speaks HTTP/1.1 and JSON would make it. */
export async function post(
  socketPath: string,
  path: string,
  body: string | Buffer = "{}",
  headers: Record<string, string> = {},
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { socketPath, path, method: "POST", agent: false, headers: { "content-type": "application/json", ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("error", reject);
        response.once("end", () => {
          const text = Buffer.concat(chunks).toString();
          const parsed: unknown = text === "" ? undefined : JSON.parse(text);
          resolve({ status: response.statusCode ?? 0, body: parsed });
        });
      },
    );
    // Every time: a request that was refused while it was still being sent fails twice.
    request.on("error", reject);
    request.end(body);
  });
}
