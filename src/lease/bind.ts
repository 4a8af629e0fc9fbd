import type { z } from "zod";
import { BrokerError } from "../errors.ts";
import { type Filled, fill } from "../policy/slots.ts";
import type { Provider, ProviderContext, ProviderType, Revocation } from "./provider.ts";

/** A provider type with its own types closed over: what `providers/catalogue.ts` lists and mayfly.yaml chooses from. */
export interface BoundType {
  readonly type: string;
  /** One entry of mayfly.yaml's `providers`, without its `type`. Throws `config-invalid`, naming the keys that are wrong. */
  configure(config: unknown, context: ProviderContext): Provider<unknown>;
}

/**
 * Makes one list of provider types that differ in their options. Nothing is cast: wherever options come back as plain data (from
 * a grant, or from the ledger after a restart) they pass the provider's own schema again.
 */
export function bind<Config, Options>(type: ProviderType<Config, Options>): BoundType {
  return {
    type: type.type,
    configure(config, context) {
      const parsed = type.config.safeParse(config);
      if (!parsed.success)
        throw new BrokerError("config-invalid", `a provider of type ${type.type} does not load: ${problems(parsed.error)}`);
      return erase(type.create(parsed.data, context));
    },
  };
}

function erase<Options>(provider: Provider<Options>): Provider<unknown> {
  const accept = (options: unknown): Filled<Options> => fill(provider.options.parse(options), {});
  const { revocation } = provider;
  return {
    options: provider.options,
    gives: (options) => provider.gives(accept(options)),
    ends: (options) => provider.ends(accept(options)),
    mint: (request) => provider.mint({ ...request, options: accept(request.options) }),
    revocation: revocation === "none" ? "none" : eraseRevocation(revocation, accept),
  };
}

function eraseRevocation<Options>(
  revocation: Revocation<Options>,
  accept: (options: unknown) => Filled<Options>,
): Revocation<unknown> {
  return {
    revoke: (handle, request) => revocation.revoke(handle, request),
    recover: (intent, options, request) => revocation.recover(intent, accept(options), request),
  };
}

function problems(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`)).join("; ");
}
