import { createHash } from "node:crypto";
import { BrokerError } from "../src/errors.ts";
import type { Filled, Intent, Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import { config, optionsFor, type SshConfig, type SshOptions } from "./ssh/options.ts";

/**
 * SSH user certificates from the broker's own CA: no server is asked, so none can be told to end one early. It is good for the named
 * principals, for one command, from the addresses that are known, and for nothing else. sshd logs its key id, which begins with the lease.
 */
export const ssh: ProviderType<SshConfig, SshOptions> = {
  type: "ssh",
  proves: ["broker"],
  config,
  create: (settings: SshConfig, { authority, clock }: ProviderContext): Provider<SshOptions> => ({
    options: optionsFor(settings),
    gives: () => "ssh-certificate",
    ends: () => "expires",
    revocation: "none",
    async mint({ intent, options: asked, signal }: MintRequest<SshOptions>): Promise<Minted> {
      signal.throwIfAborted();
      checkLife(intent, settings);
      // Certificates count in seconds; rounded down, so that the ledger never calls a living one expired.
      const at = Math.floor((clock.now() + intent.ttl) / 1_000) * 1_000;
      const certificate = await authority.issueSshCertificate({
        serial: serialOf(intent.lease),
        keyId: keyIdOf(intent),
        principals: asked.principals,
        criticalOptions: restrictions(asked, settings),
        extensions: asked.extensions,
        notAfter: at,
      });
      return { material: { kind: "ssh-certificate", ...certificate }, ending: { kind: "expires", at } };
    },
  }),
};

function checkLife({ ttl }: Intent, { longest }: SshConfig): void {
  if (ttl <= longest) return;
  throw new BrokerError("provider-refused", "the template's ttl is longer than an SSH certificate may live", {
    hint: "lower the template's ttl, or raise `longest` of this provider in mayfly.yaml",
  });
}

/** Critical: a server that does not understand one of them refuses the certificate instead of ignoring it. */
function restrictions({ command, source_addresses }: Filled<SshOptions>, known: SshConfig): Readonly<Record<string, string>> {
  const addresses = source_addresses ?? known.source_addresses;
  return {
    ...(command === undefined ? {} : { "force-command": command }),
    ...(addresses === undefined ? {} : { "source-address": addresses.join(",") }),
  };
}

/** 64 bits that only this lease has, for a server's list of revoked serials. */
function serialOf(lease: string): bigint {
  return createHash("sha256").update(lease).digest().readBigUInt64BE();
}

/** One line of printable text whatever is in the names. */
function keyIdOf({ lease, workload, template }: Intent): string {
  return [lease, workload, template].map((part) => encodeURI(part)).join(" ");
}
