import "reflect-metadata";
import { createServer, request } from "node:https";
import type { TLSSocket } from "node:tls";
import * as x509 from "@peculiar/x509";

/** An HTTPS server that demands a client certificate of one authority and says whom it saw. */
export interface TlsServer extends AsyncDisposable {
  /** A port of 127.0.0.1, or the path of a Unix socket. */
  readonly at: { readonly port: number } | { readonly socketPath: string };
  /** PEM: what a client must trust; made out to `localhost`. */
  readonly certificate: string;
  /** The common names of the clients that were let in. */
  readonly guests: readonly string[];
  stop(): Promise<void>;
}

export interface TlsOptions {
  /** PEM: whose clients are let in. */
  readonly authority: string;
  /** Listen here instead of on a loopback port. */
  readonly socketPath?: string;
}

export async function startTlsServer({ authority, socketPath }: TlsOptions): Promise<TlsServer> {
  const identity = await serverIdentity();
  const guests: string[] = [];
  const server = createServer(
    { ...identity, ca: authority, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.2" },
    (incoming, outgoing) => {
      const { subject, subjectaltname } = (incoming.socket as TLSSocket).getPeerCertificate();
      const name = String(subject.CN);
      guests.push(name);
      outgoing
        .writeHead(200, { "content-type": "application/json" })
        .end(`${JSON.stringify({ welcome: name, workload: subjectaltname })}\n`);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (socketPath === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(socketPath, resolve);
  });
  const address = server.address();
  const at = typeof address === "object" && address !== null ? { port: address.port } : { socketPath: String(address) };
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  return { at, certificate: identity.cert, guests, stop, [Symbol.asyncDispose]: stop };
}

/** What the server answers to this client; rejects when it does not let it in. */
export function visit(
  server: TlsServer,
  client: { readonly certificate: string; readonly privateKey: Buffer },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      ...server.at,
      host: "127.0.0.1",
      servername: "localhost",
      ca: server.certificate,
      cert: client.certificate,
      key: client.privateKey,
      agent: false,
    } as const;
    const outgoing = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
      response.on("error", reject);
    });
    outgoing.once("error", reject).end();
  });
}

/** A fresh key and its own certificate for `localhost`. */
export async function serverIdentity(): Promise<{ readonly key: string; readonly cert: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=localhost",
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "localhost" }]),
      new x509.BasicConstraintsExtension(true, 0, true),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { key, cert: certificate.toString("pem") };
}
