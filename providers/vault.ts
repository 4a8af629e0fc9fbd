import type { EndRequest, Provider, ProviderContext, ProviderType, Rotation } from "../src/lease/provider.ts";
import { authorityOf, checkProof, config, type VaultConfig } from "./vault/config.ts";
import { endsOf, givesOf } from "./vault/engines.ts";
import { endLease, findLease, renewLease } from "./vault/leases.ts";
import { mint } from "./vault/mint.ts";
import { options, type VaultOptions } from "./vault/options.ts";
import { SecretFile } from "./vault/secret-file.ts";
import { asRole, type Call, type Room } from "./vault/session.ts";

/**
 * HashiCorp Vault and OpenBao. Each lease has a Vault token of its own, which carries the lease's name in its metadata: that is what
 * `recover` looks for. The job never sees that token; `kind: token` gives it a child with fewer policies.
 */
export const vault: ProviderType<VaultConfig, VaultOptions> = {
  type: "vault",
  proves: ["broker", "host", "job"],
  config,
  create(settings: VaultConfig, { clock, as }: ProviderContext): Provider<VaultOptions> {
    checkProof(settings, as);
    const file = settings.login.method === "jwt" ? undefined : new SecretFile(settings.login);
    const room: Room = { config: settings, authority: authorityOf(settings), clock, file };
    const call = ({ proof, signal }: EndRequest): Call => ({ ...room, proof, signal });
    const { rotation } = settings;
    return {
      options,
      gives: givesOf,
      ends: endsOf,
      mint: (request) => mint(call(request), request),
      revocation: {
        revoke: (handle, request) => endLease(call(request), handle),
        recover: (intent, asked, request) => findLease(call(request), intent, asked),
        renew: (handle, request) => renewLease(call(request), handle),
      },
      ...(rotation === undefined ? {} : { rotation: rotationOf(rotation, call) }),
    };
  },
};

/** Vault makes the new secret and sets it where it is used before it answers; nobody here ever sees it. */
function rotationOf({ role, paths }: NonNullable<VaultConfig["rotation"]>, call: (request: EndRequest) => Call): Rotation {
  return {
    names: paths,
    rotate: (path, request) => asRole(call(request), role, async (client) => void (await client.write(path, {}))),
  };
}
