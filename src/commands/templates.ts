import { resolve } from "node:path";
import { loadConfig, type Config, settings } from "../config.ts";
import { type Delivery, deliverable, deliverySchema } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import type { BoundType } from "../lease/bind.ts";
import type { ProviderContext } from "../lease/provider.ts";
import type { Compiled } from "../policy/compile.ts";
import { checkTemplates } from "../policy/load.ts";
import type { ProviderRoom, Rooms } from "../policy/rooms.ts";
import { isolationSchema } from "../sandbox/isolation.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Io } from "./io.ts";

export interface TemplateFlags {
  readonly config?: string;
}

export const configFlag = ["--config <file>", "mayfly.yaml, for issuers and providers (default: MAYFLY_CONFIG, else /etc/mayfly/mayfly.yaml)"] as const;

/** Throws `config-invalid` with every problem in it. */
export function configFrom(io: Io, { config }: TemplateFlags): Config {
  const moved = settings(io.env);
  return loadConfig(config === undefined ? moved.config : resolve(io.cwd, config), moved);
}

/** A folder of templates, read just as the broker would read it, with nothing contacted and nothing issued. */
export async function readTemplates(io: Io, types: ReadonlyMap<string, BoundType>, from: { readonly config: Config; readonly folder: string }): Promise<Compiled<Delivery, Isolation>> {
  return checkTemplates({ path: from.folder, owners: [0, io.uid] }, roomsOf(io, types, from.config));
}

function roomsOf(io: Io, types: ReadonlyMap<string, BoundType>, config: Config): Rooms<Delivery, Isolation> {
  const context = { clock: io.clock, authority: noAuthority };
  const providers = Object.entries(config.providers).map(([name, { type, ...rest }]): [string, ProviderRoom] => {
    const bound = types.get(type);
    if (bound === undefined) throw new BrokerError("config-invalid", `providers.${name}: there is no provider type ${type}`, { hint: `there are ${[...types.keys()].join(", ")}` });
    return [name, bound.configure(rest, context)];
  });
  return { providers: new Map(providers), delivery: deliverySchema, isolation: isolationSchema, deliverable, issuers: new Set(Object.keys(config.issuers)) };
}

/** Reading templates signs nothing, so no key is opened for it. */
const noAuthority: ProviderContext["authority"] = {
  signJwt: () => Promise.reject(new BrokerError("internal", undefined, { detail: "templates are only read here" })),
  issueCertificate: () => Promise.reject(new BrokerError("internal", undefined, { detail: "templates are only read here" })),
};
