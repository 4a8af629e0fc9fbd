import { connect } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";

/** One connection to one of a broker's sockets. Leaving its scope closes it, so that the process can end. */
export interface OpenClient<Service extends DescService> extends Disposable {
  readonly call: Client<Service>;
}

/** Nothing happens on the wire before the first call. What a call rejects with is made plain by `fromConnectError`. */
export function openClient<Service extends DescService>(service: Service, socket: string): OpenClient<Service> {
  const baseUrl = "http://localhost";
  const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => connect(socket) });
  const transport = createConnectTransport({ httpVersion: "2", baseUrl, sessionManager, acceptCompression: [] });
  return {
    call: createClient(service, transport),
    [Symbol.dispose]: () => sessionManager.abort(),
  };
}
