import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Material } from "../../src/material.ts";
import type { OpenBao } from "../servers/openbao.ts";
import { run } from "../servers/process.ts";
import { serverIdentity } from "../servers/tls.ts";

export function text(secret: { use<T>(borrow: (bytes: Buffer) => T): T }): string {
  return secret.use((bytes) => bytes.toString("utf8"));
}

/** OpenBao's own word: the lease's tokens, and what waits in its queue below these paths. */
export async function aliveIn(bao: OpenBao, lease: string, paths: readonly string[] = []): Promise<readonly string[]> {
  const leases = (await Promise.all(paths.map((path) => bao.leases(path)))).flat();
  const states = await Promise.all(
    leases.map(async (id) => ({ id, body: (await bao.call("POST", "sys/leases/lookup", { lease_id: id })).body })),
  );
  const overdue = states.filter(({ body }) => body.data !== undefined && Number(body.data?.["ttl"]) <= 0).map(({ id }) => id);
  return [...(await bao.tokensFor(lease)), ...overdue];
}

/** A real TLS server that trusts the pki mount and reads its revocation list as it is at this moment. */
export async function isLetIn(bao: OpenBao, material: Material, alsoAs = "localhost"): Promise<boolean> {
  if (material.kind !== "x509") return false;
  const pem = async (path: string): Promise<string> => (await fetch(`${bao.address}/v1/${path}`)).text();
  const identity = await serverIdentity();
  const server = createServer({
    ...identity,
    ca: await pem("pki/ca/pem"),
    crl: await pem("pki/crl/pem"),
    requestCert: true,
    rejectUnauthorized: true,
  });
  server.on("request", (_, response) => response.end("welcome"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise<boolean>((resolve) => {
      const client = { cert: material.certificate, key: text(material.privateKey), ca: identity.cert, servername: alsoAs };
      request({ host: "127.0.0.1", port, ...client, agent: false }, (response) => resolve(response.statusCode === 200))
        .once("error", () => resolve(false))
        .end();
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** OpenSSH's own word: signs with the certificate, and verifies as a machine does that trusts the CA for this account. */
export async function signsAs(bao: OpenBao, material: Material, account: string): Promise<boolean> {
  if (material.kind !== "ssh-certificate") return false;
  const folder = await mkdtemp(join(tmpdir(), "mayfly-ssh-"));
  const at = (name: string): string => join(folder, name);
  try {
    const authority = await (await fetch(`${bao.address}/v1/ssh/public_key`)).text();
    await writeFile(at("id"), text(material.privateKey), { mode: 0o600 });
    await writeFile(at("id-cert.pub"), material.certificate);
    await writeFile(at("allowed"), `${account} cert-authority ${authority}`);
    await writeFile(at("message"), randomBytes(8).toString("hex"));
    const signed = await run("ssh-keygen", ["-Y", "sign", "-f", at("id-cert.pub"), "-n", "test", at("message")]);
    if (signed.code !== 0) throw new Error(signed.stderr);
    const verify = ["-Y", "verify", "-f", at("allowed"), "-I", account, "-n", "test", "-s", at("message.sig")];
    return (await run("ssh-keygen", verify, { input: await readFile(at("message"), "utf8") })).code === 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
