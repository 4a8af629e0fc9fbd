import type { Config } from "./config.ts";
import { type Delivery, deliverable, deliverySchema } from "./delivery/delivery.ts";
import { BrokerError } from "./errors.ts";
import { identifyingClaims } from "./identity/issuers/ids.ts";
import type { BoundType } from "./lease/bind.ts";
import type { Provider, ProviderContext } from "./lease/provider.ts";
import type { Rooms } from "./policy/rooms.ts";
import { isolationSchema } from "./sandbox/isolation.ts";
import type { Isolation } from "./sandbox/sandbox.ts";

export type Catalogue = ReadonlyMap<string, BoundType>;
/** Asked for by the verbs that need it: providers bring large libraries with them, and most verbs are quicker without. */
export type LoadCatalogue = () => Promise<Catalogue>;
export type Providers = ReadonlyMap<string, Provider<unknown>>;

/** Every provider of mayfly.yaml, by its name there. Throws `config-invalid`. */
export function configureProviders({ providers }: Config, catalogue: Catalogue, context: ProviderContext): Providers {
  return new Map(
    Object.entries(providers).map(([name, { type, ...rest }]) => {
      const bound = catalogue.get(type);
      if (bound !== undefined) return [name, bound.configure(rest, context)];
      throw new BrokerError("config-invalid", `providers.${name}: there is no provider of type ${type}`, {
        hint: `there are ${[...catalogue.keys()].join(", ")}`,
      });
    }),
  );
}

/** The parts of a template that are other rooms' words. */
export function roomsOf({ issuers }: Config, providers: Providers): Rooms<Delivery, Isolation> {
  return {
    providers,
    delivery: deliverySchema,
    isolation: isolationSchema,
    deliverable,
    issuers: identifyingClaims(issuers),
  };
}
