import "reflect-metadata";
import { chownSync } from "node:fs";
import { createServer } from "node:https";
import { TLSSocket } from "node:tls";
import * as x509 from "@peculiar/x509";
import type { Clock } from "../time.ts";

/** A TLS server behind a Unix socket that answers only to client certificates of the broker's own authority. */
export interface GuardedServer extends AsyncDisposable {
  /** PEM: what a client checks the server with. */
  readonly certificate: string;
}

export interface Guard {
  /** PEM: whose client certificates are let in. */
  readonly clientAuthority: string;
  /** The workspace's owner: a job can write to nothing in it that belongs to anybody else, and connecting is writing. */
  readonly owner: number;
}

const hour = 3_600_000;
const keys = { name: "ECDSA", namedCurve: "P-256" } as const;

export async function startGuardedServer(
  socket: string,
  { clientAuthority, owner }: Guard,
  clock: Clock,
): Promise<GuardedServer> {
  const pair = await crypto.subtle.generateKey(keys, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: "CN=api.demo.example",
    notBefore: new Date(clock.now() - hour),
    notAfter: new Date(clock.now() + hour),
    keys: pair,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: "api.demo.example" }])],
  });
  const pem = certificate.toString("pem");
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", pair.privateKey), "PRIVATE KEY");
  const server = createServer(
    { cert: pem, key, ca: clientAuthority, requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" },
    (request, response) => {
      const client = request.socket instanceof TLSSocket ? request.socket.getPeerCertificate() : undefined;
      response.end(`the server let in ${client?.subjectaltname ?? "nobody"}, until ${client?.valid_to}\n`);
    },
  );
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  chownSync(socket, owner, owner);
  return {
    certificate: pem,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
