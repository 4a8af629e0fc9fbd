import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Config, loadConfig, settings } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import type { ProviderContext } from "../lease/provider.ts";
import type { Compiled } from "../policy/language/compile.ts";
import { checkTemplates } from "../policy/language/load.ts";
import type { Rooms } from "../policy/rooms.ts";
import { configureProviders, type LoadCatalogue, roomsOf } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Io } from "./io.ts";

export interface TemplateFlags {
  readonly config?: string;
}

export const configFlag = [
  "--config <file>",
  "mayfly.yaml, for issuers and providers (default: MAYFLY_CONFIG, else /etc/mayfly/mayfly.yaml)",
] as const;

/** Throws `config-invalid` with every problem in it. */
export function configFrom(io: Io, { config }: TemplateFlags): Config {
  const moved = settings(io.env);
  // One in the current folder may be anybody's, so that it counts only where it is named.
  if (config === undefined && !existsSync(moved.config) && existsSync(resolve(io.cwd, "mayfly.yaml")))
    throw new BrokerError("config-invalid", `${moved.config} cannot be read`, {
      hint: "there is one here: --config mayfly.yaml",
    });
  return loadConfig(config === undefined ? moved.config : resolve(io.cwd, config), moved);
}

/** A folder of templates, read as the broker would read it, with nobody contacted and nothing issued. */
export async function readTemplates(
  io: Io,
  types: LoadCatalogue,
  from: { readonly config: Config; readonly folder: string },
): Promise<Compiled<Delivery, Isolation>> {
  return checkTemplates({ path: from.folder, owners: [0, io.uid] }, await roomsFrom(io, types, from.config));
}

/** The words that templates may use by this mayfly.yaml, and the day on which they are looked at. */
export async function roomsFrom(io: Io, types: LoadCatalogue, config: Config): Promise<Rooms<Delivery, Isolation>> {
  const providers = await configureProviders(config, await types(), { clock: io.clock, authority: noAuthority });
  return { ...roomsOf(config, providers), now: io.clock.now() };
}

/** Reading templates signs nothing, so no key is opened for it. */
export const noAuthority: ProviderContext["authority"] = {
  signJwt: () => Promise.reject(unasked()),
  issueCertificate: () => Promise.reject(unasked()),
  issueSshCertificate: () => Promise.reject(unasked()),
  seal: () => {
    throw unasked();
  },
  unseal: () => {
    throw unasked();
  },
};

function unasked(): BrokerError {
  return new BrokerError("internal", undefined, { detail: "templates are only read here" });
}
