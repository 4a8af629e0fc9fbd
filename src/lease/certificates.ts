import "reflect-metadata";
import { createPrivateKey, type webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { loadOrCreate, unfit } from "../key-file.ts";
import { Secret } from "../secret.ts";
import type { Clock } from "../time.ts";
import type { Authority } from "./provider.ts";

const keys = { name: "ECDSA", namedCurve: "P-256" } as const;
const signing = { name: "ECDSA", hash: "SHA-256" } as const;

const day = 86_400_000;
/** Two hosts' clocks may differ by this much without a fresh certificate being "not yet valid". */
const skew = 60_000;

export interface CertificateAuthority {
  /** PEM: what a server puts into its trust store to accept the broker's jobs. */
  readonly certificate: string;
  issue: Authority["issueCertificate"];
}

/** The broker's own CA from its PEM file (key and certificate), made on the first start for ten years. */
export async function openCertificateAuthority(
  path: string,
  clock: Clock,
  random: (bytes: number) => Buffer,
): Promise<CertificateAuthority> {
  const pem = await loadOrCreate(path, () => create(clock, random));
  const { key, certificate } = await parse(path, pem);
  const authority = certificate.toString("pem");
  return {
    certificate: authority,
    async issue({ serial, commonName, uri, notAfter }) {
      const pair = await crypto.subtle.generateKey(keys, true, ["sign", "verify"]);
      const issued = await x509.X509CertificateGenerator.create({
        serialNumber: serial,
        subject: [{ CN: [commonName] }],
        issuer: certificate.subjectName.toJSON(),
        notBefore: new Date(clock.now() - skew),
        notAfter: new Date(notAfter),
        publicKey: pair.publicKey,
        signingKey: key,
        signingAlgorithm: signing,
        extensions: await clientExtensions(pair.publicKey, certificate, uri),
      });
      return { certificate: issued.toString("pem"), privateKey: await exported(pair.privateKey), authority };
    },
  };
}

/** A client and nothing else: it can neither sign certificates nor pose as a server (RFC 5280 sections 4.2.1.3, .9 and .12). */
async function clientExtensions(
  publicKey: webcrypto.CryptoKey,
  certificate: x509.X509Certificate,
  uri: string,
): Promise<x509.Extension[]> {
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
    new x509.SubjectAlternativeNameExtension([{ type: "url", value: uri }]),
    await x509.AuthorityKeyIdentifierExtension.create(certificate),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ];
}

async function create(clock: Clock, random: (bytes: number) => Buffer): Promise<string> {
  const pair = await crypto.subtle.generateKey(keys, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: `01${random(15).toString("hex")}`,
    name: [{ CN: [`mayfly ${random(4).toString("hex")}`] }],
    notBefore: new Date(clock.now() - skew),
    notAfter: new Date(clock.now() + 3_650 * day),
    keys: pair,
    signingAlgorithm: signing,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(pair.publicKey),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", pair.privateKey), "PRIVATE KEY");
  return `${key}\n${certificate.toString("pem")}\n`;
}

async function parse(path: string, pem: string): Promise<{ key: webcrypto.CryptoKey; certificate: x509.X509Certificate }> {
  try {
    const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
    const key = await crypto.subtle.importKey("pkcs8", der, keys, false, ["sign"]);
    return { key, certificate: new x509.X509Certificate(pem.slice(pem.indexOf("-----BEGIN CERTIFICATE-----"))) };
  } catch {
    throw unfit(path, "does not hold a P-256 key and its certificate in PEM");
  }
}

async function exported(key: webcrypto.CryptoKey): Promise<Secret> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", key));
  try {
    return Secret.of(`${x509.PemConverter.encode(der, "PRIVATE KEY")}\n`);
  } finally {
    der.fill(0);
  }
}
