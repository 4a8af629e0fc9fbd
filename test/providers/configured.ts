import { catalogue } from "../../providers/catalogue.ts";
import type { Authority, ProofKind, Provider } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";

/** A provider of the catalogue as the broker configures it from an entry of mayfly.yaml. */
export async function configured(
  type: string,
  config: unknown,
  context: { readonly authority: Authority; readonly as?: ProofKind },
): Promise<Provider<unknown>> {
  const bound = await catalogue.load(type);
  if (bound === undefined) throw new Error(`the catalogue has no ${type}`);
  return bound.configure(config, { clock: systemClock, as: bound.proves[0], ...context });
}
