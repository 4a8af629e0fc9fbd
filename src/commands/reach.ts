import { join, resolve } from "node:path";
import type { DescMessage, DescService, MessageShape } from "@bufbuild/protobuf";
import { toJson } from "@bufbuild/protobuf";
import { type OpenClient, openClient } from "../api/client.ts";
import type { SocketName } from "../api/connection.ts";
import { longestPath } from "../api/socket-file.ts";
import { BrokerError } from "../errors.ts";
import type { Io } from "./io.ts";
import { printJson } from "./output.ts";

/** What every command that talks to a broker takes. */
export interface Reaching {
  readonly socket?: string;
}

export const socketFlag = ["--socket <path>", "the broker's socket (default: in MAYFLY_RUN, else /run/mayfly)"] as const;
export const jsonFlag = ["--json", "print JSON, in the API's own shape"] as const;

/** A client of the service on its socket; `using` closes it. */
export function reach<Service extends DescService>(
  io: Io,
  service: Service,
  door: SocketName,
  { socket }: Reaching,
): OpenClient<Service> {
  const path = socket === undefined ? join(io.env["MAYFLY_RUN"] ?? "/run/mayfly", `${door}.sock`) : resolve(io.cwd, socket);
  // Node throws at once for a longer one, where Connect's client cannot hear it and would wait for ever.
  if (Buffer.byteLength(path) > longestPath)
    throw new BrokerError("usage", `the path of the socket is too long, ${path}`, {
      hint: `the kernel takes ${longestPath} bytes`,
    });
  return openClient(service, path);
}

/** The same JSON that an HTTP client of the API gets. */
export function printMessage<Schema extends DescMessage>(io: Io, schema: Schema, message: MessageShape<Schema>): void {
  printJson(io, toJson(schema, message, { alwaysEmitImplicit: true }));
}
