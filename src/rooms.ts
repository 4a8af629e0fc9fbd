import type { Config } from "./config.ts";
import { type Delivery, deliverable, deliverySchema } from "./delivery/delivery.ts";
import { BrokerError } from "./errors.ts";
import { issuerWords } from "./identity/issuers/issuer-words.ts";
import type { BoundType } from "./lease/bind.ts";
import type { Provider, ProviderContext } from "./lease/provider.ts";
import type { ProviderRoom, Rooms } from "./policy/rooms.ts";
import { fillSample } from "./policy/slots.ts";
import { isolationRoom } from "./sandbox/isolation-room.ts";
import type { Isolation } from "./sandbox/sandbox.ts";

export type Catalogue = ReadonlyMap<string, BoundType>;
/** Asked for by the verbs that need it: providers bring large libraries with them, and most verbs are quicker without. */
export type LoadCatalogue = () => Promise<Catalogue>;
export type Providers = ReadonlyMap<string, Provider<unknown>>;

/** Every provider of mayfly.yaml, by its name there. Throws `config-invalid`. */
export function configureProviders({ providers }: Config, catalogue: Catalogue, context: ProviderContext): Providers {
  return new Map(
    Object.entries(providers).map(([name, { type, endpoints: _, ...rest }]) => {
      const bound = catalogue.get(type);
      if (bound !== undefined) return [name, bound.configure(rest, context)];
      throw new BrokerError("config-invalid", `providers.${name}: there is no provider of type ${type}`, {
        hint: `there are ${[...catalogue.keys()].join(", ")}`,
      });
    }),
  );
}

/** The parts of a template that are other rooms' words. */
export function roomsOf(config: Config, providers: Providers): Rooms<Delivery, Isolation> {
  return {
    providers: new Map([...providers].map(([name, provider]) => [name, providerRoom(name, provider, config)])),
    delivery: deliverySchema,
    isolation: isolationRoom(config.sandbox),
    deliverable,
    issuers: issuerWords(config.issuers),
  };
}

function providerRoom(name: string, provider: Provider<unknown>, { providers }: Config): ProviderRoom {
  const written = providers[name];
  return {
    type: written?.type ?? name,
    options: provider.options,
    // Of what kind a credential is, and how it ends, cannot depend on who asks, so any filling will do.
    gives: (options) => provider.gives(fillSample(options)),
    ends: (options) => provider.ends(fillSample(options)),
    endpoints: written?.endpoints ?? [],
  };
}
