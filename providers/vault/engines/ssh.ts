import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { Secret } from "../../../src/secret.ts";
import { broken, seconds } from "../session.ts";
import { type Asking, ahead, type Given, type Of, textOf } from "./engine.ts";
import { type Certificate, parseCertificate, publicKeyLine } from "./ssh-certificate.ts";

/**
 * A user certificate for a fresh P-256 key: below `sign` the key is made here and never travels, below `issue` Vault makes it. Its key id is
 * the lease's name, which sshd logs. Nobody can call it back, short of a revocation list on each server.
 */
export async function ssh({ client, intent, now }: Asking, asked: Of<"ssh">): Promise<Given> {
  const { path, principals, extensions } = asked;
  const own = path.includes("/sign/") ? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey : undefined;
  const answer = await client.write(path, {
    cert_type: "user",
    valid_principals: principals.join(","),
    key_id: intent.lease,
    ttl: seconds(intent.ttl),
    extensions: Object.fromEntries(extensions.map((name) => [name, ""])),
    critical_options: Object.fromEntries(criticalOf(asked)),
    ...(own === undefined ? { key_type: "ec", key_bits: 256 } : { public_key: publicKeyLine(createPublicKey(own)) }),
  });
  const key = own ?? createPrivateKey(textOf(answer, "private_key"));
  const signed = textOf(answer, "signed_key").trim();
  const certificate = parseCertificate(signed);
  if (certificate === undefined) throw broken("vault's ssh certificate cannot be read, so its scope is unknown");
  checkScope(certificate, asked, { key, lease: intent.lease });
  const until = ahead(Number(certificate.validBefore) * 1_000, now(), intent.ttl, "ssh certificate");
  const pem = key.export({ type: "sec1", format: "pem" }).toString();
  return { material: { kind: "ssh-certificate", certificate: `${signed}\n`, privateKey: Secret.of(pem) }, until };
}

function criticalOf({ force_command, source_address }: Of<"ssh">): ReadonlyMap<string, string> {
  const named = [
    ["force-command", force_command],
    ["source-address", source_address],
  ] as const;
  return new Map(named.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
}

/** OpenSSH, PROTOCOL.certkeys: a certificate without a principal is good for any account. */
function checkScope(
  certificate: Certificate,
  asked: Of<"ssh">,
  { key, lease }: { readonly key: KeyObject; readonly lease: string },
): void {
  const same = (one: readonly string[], other: readonly string[]): boolean =>
    one.toSorted().join("\n") === other.toSorted().join("\n");
  const critical = criticalOf(asked);
  const narrow =
    certificate.isUser &&
    certificate.principals.length > 0 &&
    certificate.principals.every((name) => asked.principals.includes(name)) &&
    same([...certificate.critical].map(String), [...critical].map(String));
  if (!narrow) throw broken("vault's ssh certificate is for other accounts or addresses than was asked");
  const named: readonly string[] = asked.extensions;
  if (!certificate.extensions.every((name) => named.includes(name)))
    throw broken(
      "vault's ssh certificate allows more than was asked",
      "take default_extensions off the ssh role, or name them in the template",
    );
  if (certificate.keyId !== lease || publicKeyLine(createPublicKey(key)) !== certificate.publicKey)
    throw broken("vault's ssh certificate is for another key or lease");
}
