import "reflect-metadata";
import { createPrivateKey, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { z } from "zod";
import { Secret } from "../../../src/secret.ts";
import type { Envelope } from "../client.ts";
import { broken, seconds } from "../session.ts";
import { type Asking, ahead, type Given, leased, type Of, textOf } from "./engine.ts";

/**
 * A client or server certificate. Below `sign` the key is made here and never travels; below `issue` Vault makes it. `revocable`: the role has
 * `generate_lease`, and Vault puts the certificate on its revocation list at the lease's end, for servers that read it.
 */
export async function pki({ client, intent, now }: Asking, asked: Of<"pki">): Promise<Given> {
  const { path, common_name, dns_names, revocable } = asked;
  const own = path.includes("/sign/") ? await request(common_name, dns_names) : undefined;
  const answer = await client.write(path, {
    common_name,
    ttl: seconds(intent.ttl),
    format: "pem",
    ...(dns_names.length === 0 ? {} : { alt_names: dns_names.join(",") }),
    ...(own === undefined ? { private_key_format: "pkcs8" } : { csr: own.csr }),
  });
  const privateKey = own?.privateKey ?? textOf(answer, "private_key");
  const certificate = textOf(answer, "certificate");
  const until = ahead(checkedExpiry(certificate, privateKey, asked), now(), intent.ttl, "certificate");
  if (!revocable && answer.lease_id !== "")
    throw broken(
      "vault's pki role gives a lease, at whose end the certificate is revoked",
      "write revocable: true in the template",
    );
  const material = { kind: "x509", ...chainOf(answer, certificate), privateKey: Secret.of(privateKey) } as const;
  return revocable ? { material, ...leased(answer, path, intent.ttl) } : { material, until };
}

/** The certificate with those between it and the root, and the root for whoever checks the other side. */
function chainOf(answer: Envelope, certificate: string): { readonly certificate: string; readonly authority: string } {
  const issuer = textOf(answer, "issuing_ca");
  const chain = z.array(z.string()).catch([]).parse(answer.data?.["ca_chain"]);
  const all = chain.length === 0 ? [issuer] : chain;
  const roots = all.filter((pem) => isRoot(pem));
  const between = all.filter((pem) => !isRoot(pem));
  return { certificate: lines([certificate, ...between]), authority: lines(roots.length === 0 ? [issuer] : roots) };
}

function isRoot(pem: string): boolean {
  const { subject, issuer } = new X509Certificate(pem);
  return subject === issuer;
}

function lines(pems: readonly string[]): string {
  return pems.map((pem) => `${pem.trim()}\n`).join("");
}

/** For these names, for this key, and no authority: or it is more than was asked. */
function checkedExpiry(pem: string, privateKey: string, { common_name, dns_names }: Of<"pki">): number {
  const certificate = new X509Certificate(pem);
  const allowed = new Set([common_name, ...dns_names].map((name) => `DNS:${name}`));
  const names = certificate.subjectAltName?.split(", ") ?? [];
  const subject = certificate.subject.split("\n").filter((part) => part.startsWith("CN="));
  if (certificate.ca || subject.join() !== `CN=${common_name}` || !names.every((name) => allowed.has(name)))
    throw broken(
      "vault's certificate is for other names than was asked",
      "set the pki role to take its names from the request alone",
    );
  if (!certificate.checkPrivateKey(createPrivateKey(privateKey))) throw broken("vault's certificate is for another key");
  return Date.parse(certificate.validTo);
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

async function request(
  common_name: string,
  dns_names: readonly string[],
): Promise<{ readonly csr: string; readonly privateKey: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const names = [...new Set([common_name, ...dns_names])].map((value) => ({ type: "dns", value }) as const);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [common_name] }],
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension(names)],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { csr: csr.toString("pem"), privateKey: x509.PemConverter.encode(pkcs8, "PRIVATE KEY") };
}
