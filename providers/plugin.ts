import { BrokerError } from "../src/errors.ts";
import type { Provider, ProviderContext, ProviderType, Revocation } from "../src/lease/provider.ts";
import { config, type PluginConfig } from "./plugin/config.ts";
import { schemaOf } from "./plugin/fields.ts";
import { caseOf, describe, type Manifest } from "./plugin/manifest.ts";
import { Remote } from "./plugin/remote.ts";

/** As its manifest has them. */
type Options = Record<string, unknown>;

/**
 * A provider that is a process of its own: a binary `mayfly-provider-NAME` in any language. It says of itself what it takes and gives
 * (`describe`), before anything is asked of it, and is held to that here: whatever it answers, a job gets no credential but of the kind,
 * the life and the ending that were declared. It runs as the broker's user: that it means well is not checked, that it errs is.
 */
export const plugin: ProviderType<PluginConfig, Options> = {
  type: "plugin",
  proves: ["host", "broker", "job"],
  config,
  create(settings: PluginConfig, context: ProviderContext): Provider<Options> {
    const manifest = describe(settings.command);
    checkProof(manifest, settings, context);
    const remote = new Remote({ manifest, settings, config: configFor(manifest, settings), context });
    return {
      options: schemaOf(manifest.options),
      gives: (options) => caseOf(manifest, options).gives,
      ends: (options) => caseOf(manifest, options).ends,
      mint: (request) => remote.mint(request),
      revocation: manifest.cases.some(({ ends }) => ends === "revoke") ? revocationOf(manifest, remote) : "none",
      ...(manifest.rotates.length === 0
        ? {}
        : { rotation: { names: manifest.rotates, rotate: (name, request) => remote.rotate(name, request) } }),
    };
  },
};

function revocationOf({ cases }: Manifest, remote: Remote): Revocation<Options> {
  return {
    revoke: (handle, request) => remote.revoke(handle, request),
    recover: (intent, options, request) => remote.recover(intent, options, request),
    ...(cases.some(({ renew }) => renew) ? { renew: (handle, request) => remote.renew(handle, request) } : {}),
  };
}

function checkProof({ proves }: Manifest, { command, audience }: PluginConfig, { as }: ProviderContext): void {
  if (!proves.includes(as))
    throw new BrokerError("config-invalid", `the provider ${command[0]} cannot prove itself as ${as}`, {
      hint: `write as: ${proves.join(" or ")}`,
    });
  if ((as === "host") === (audience === undefined)) return;
  const why = as === "host" ? "shows no token, so it has no audience" : "shows a token, so it needs an audience";
  throw new BrokerError("config-invalid", `the provider ${command[0]}, as ${as}, ${why}`);
}

function configFor({ config: fields }: Manifest, { command, config: written }: PluginConfig): Record<string, unknown> {
  const parsed = schemaOf(fields).safeParse(written);
  if (parsed.success) return parsed.data;
  const flaws = parsed.error.issues.map(({ path, message }) => `${["config", ...path].join(".")}: ${message}`);
  throw new BrokerError("config-invalid", `the provider ${command[0]} does not load: ${flaws.join("; ")}`);
}
