import { join } from "node:path";
import type { Config } from "./config.ts";
import { type Delivery, deliverable, deliverySchema } from "./delivery/delivery.ts";
import { BrokerError } from "./errors.ts";
import { issuerWords } from "./identity/issuers/issuer-words.ts";
import type { BoundType, Configured } from "./lease/bind.ts";
import type { Lodging, ProofKind, ProviderContext } from "./lease/provider.ts";
import type { ProviderRoom, Rooms } from "./policy/rooms.ts";
import { fillSample } from "./policy/slots.ts";
import { isolationRoom } from "./sandbox/isolation-room.ts";
import type { Isolation } from "./sandbox/sandbox.ts";

/** The provider types that there are; each is loaded when it is first asked for. */
export interface Catalogue {
  readonly types: readonly string[];
  load(type: string): Promise<BoundType | undefined>;
}
/** Asked for by the verbs that need it: providers bring large libraries with them, and most verbs are quicker without. */
export type LoadCatalogue = () => Promise<Catalogue>;
export type Providers = ReadonlyMap<string, Configured>;

/** What every provider is built from. `lodging` is for those that are processes of their own, where a broker runs. */
export interface Surroundings extends Omit<ProviderContext, "as" | "lodging"> {
  readonly lodging?: Pick<Lodging, "log" | "ends">;
}

/** Every provider of mayfly.yaml, by its name there. Throws `config-invalid`. */
export async function configureProviders(
  { providers, run }: Config,
  catalogue: Catalogue,
  { lodging, ...context }: Surroundings,
): Promise<Providers> {
  const configured = Object.entries(providers).map(async ([name, { type, endpoints: _, rotate_every: every, as, ...rest }]) => {
    const bound = await catalogue.load(type);
    const lodged = lodging === undefined ? {} : { lodging: { ...lodging, name, folder: join(run, "providers", name) } };
    if (bound !== undefined) {
      const provider = bound.configure(rest, { ...context, ...lodged, as: proofOf(name, bound, as) });
      if (every !== undefined && provider.rotation === undefined) throw nothingToRotate(name);
      return [name, provider] as const;
    }
    throw new BrokerError("config-invalid", `providers.${name}: there is no provider of type ${type}`, {
      hint: `there are ${catalogue.types.join(", ")}`,
    });
  });
  return new Map(await Promise.all(configured));
}

function nothingToRotate(name: string): BrokerError {
  return new BrokerError("config-invalid", `providers.${name}: rotate_every, and the provider can replace nothing`, {
    hint: "leave it out; docs/providers says what each type can replace, and what makes it so",
  });
}

function proofOf(name: string, { type, proves }: BoundType, as: ProofKind | undefined): ProofKind {
  const [usual] = proves;
  if (as === undefined) return usual;
  if (proves.includes(as)) return as;
  throw new BrokerError("config-invalid", `providers.${name}: a provider of type ${type} cannot prove itself as ${as}`, {
    hint: `write as: ${proves.join(" or ")}`,
  });
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

function providerRoom(name: string, provider: Configured, { providers }: Config): ProviderRoom {
  const written = providers[name];
  return {
    type: written?.type ?? name,
    as: provider.as,
    options: provider.options,
    // Of what kind a credential is, and how it ends, cannot depend on who asks, so any filling will do.
    gives: (options) => provider.gives(fillSample(options)),
    ends: (options) => provider.ends(fillSample(options)),
    endpoints: written?.endpoints ?? [],
  };
}
