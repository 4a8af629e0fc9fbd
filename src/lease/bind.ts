import { ZodError, type z } from "zod";
import { BrokerError } from "../errors.ts";
import { type Filled, fill } from "../policy/slots.ts";
import type { ProofKind, Provider, ProviderContext, ProviderType, Revocation } from "./provider.ts";

/** One entry of mayfly.yaml, and as whom it proves itself upstream. */
export interface Configured extends Provider<unknown> {
  readonly as: ProofKind;
}

/** A provider type with its own types closed over: what `providers/catalogue.ts` lists and mayfly.yaml chooses from. */
export interface BoundType {
  readonly type: string;
  readonly proves: ProviderType<unknown, unknown>["proves"];
  /** One entry of mayfly.yaml's `providers`, without its `type`. Throws `config-invalid`, naming the keys that are wrong. */
  configure(config: unknown, context: ProviderContext): Configured;
}

/**
 * Makes one list of provider types that differ in their options. Nothing is cast: wherever options come back as plain data (from
 * a grant, or from the ledger after a restart) they pass the provider's own schema again.
 */
export function bind<Config, Options>(type: ProviderType<Config, Options>): BoundType {
  return {
    type: type.type,
    proves: type.proves,
    configure(config, context) {
      const parsed = type.config.safeParse(config);
      if (!parsed.success)
        throw new BrokerError("config-invalid", `a provider of type ${type.type} does not load: ${problems(parsed.error)}`);
      return { ...erase(type.create(parsed.data, context)), as: context.as };
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
    mint: async (request) => provider.mint({ ...request, options: refusing(accept, request.options) }),
    ...(provider.rotation === undefined ? {} : { rotation: provider.rotation }),
    revocation: revocation === "none" ? "none" : eraseRevocation(revocation, accept),
  };
}

/** What claims filled may be too long for a limit that the template's own text keeps: then nobody upstream was asked. */
function refusing<T>(accept: (options: unknown) => T, options: unknown): T {
  try {
    return accept(options);
  } catch (error) {
    if (!(error instanceof ZodError)) throw error;
    throw new BrokerError("provider-refused", `filled with its claims, the template does not fit: ${problems(error)}`);
  }
}

function eraseRevocation<Options>(
  revocation: Revocation<Options>,
  accept: (options: unknown) => Filled<Options>,
): Revocation<unknown> {
  const { renew } = revocation;
  return {
    revoke: (handle, request) => revocation.revoke(handle, request),
    recover: (intent, options, request) => revocation.recover(intent, accept(options), request),
    ...(renew === undefined ? {} : { renew: (handle, request) => renew.call(revocation, handle, request) }),
  };
}

function problems(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`)).join("; ");
}
