import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { serverIdentity } from "./tls.ts";

/** What `mayfly keys publish` makes, hosted over TLS on loopback: what an upstream that verifies the broker's proofs reads. */
export interface PublishedIssuer extends AsyncDisposable {
  readonly url: string;
  /** PEM. */
  readonly ca: string;
  /** Until then it answers with 404. */
  publish(keys: object): void;
}

export async function startPublishedIssuer(): Promise<PublishedIssuer> {
  const { key, cert } = await serverIdentity();
  let jwks: object | undefined;
  let url = "";
  const documents = (): Readonly<Record<string, object | undefined>> => ({
    "/.well-known/openid-configuration": {
      issuer: url,
      jwks_uri: `${url}/jwks.json`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
    },
    "/jwks.json": jwks,
  });
  const server = createServer({ key, cert }, (incoming, outgoing) => {
    const document = jwks === undefined ? undefined : documents()[incoming.url ?? ""];
    outgoing
      .writeHead(document === undefined ? 404 : 200, { "content-type": "application/json" })
      .end(JSON.stringify(document));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  url = `https://localhost:${(server.address() as AddressInfo).port}`;
  return {
    url,
    ca: cert,
    publish: (keys) => {
      jwks = keys;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
