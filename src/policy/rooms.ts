import type { z } from "zod";
import type { Identifying } from "../identity/issuers/ids.ts";
import type { MaterialKind } from "../material.ts";
import type { Duration } from "../time.ts";

/** The parts of a template that are other rooms' words, handed in by whoever knows them all. */
export interface Rooms<Delivery, Isolation> {
  /** By their names in mayfly.yaml. */
  readonly providers: ReadonlyMap<string, ProviderRoom>;
  readonly delivery: z.ZodType<Delivery>;
  /** Reads the template's `sandbox`, with its `tolerate` put in. */
  readonly isolation: z.ZodType<Isolation>;
  /** Why this kind of material cannot be delivered so; undefined where it can. */
  deliverable?(delivery: Delivery, kind: MaterialKind): string | undefined;
  /** The issuers of mayfly.yaml (a template that names another would never match), each with what says whose job it is. */
  readonly issuers?: ReadonlyMap<string, Identifying>;
}

/** What policy needs to know of a provider; `Provider` of lease/provider.ts fits. */
export interface ProviderRoom {
  readonly options: z.ZodType;
  gives(options: unknown): MaterialKind;
  readonly maxTtl?: Duration;
}
