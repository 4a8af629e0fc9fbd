import { z } from "zod";
import { duration } from "../../src/duration.ts";

const binary = z
  .string()
  .max(4_096)
  .regex(
    /^\/(?:[^/\0]+\/)*mayfly-provider-[a-z0-9][a-z0-9-]{0,62}$/,
    "write the absolute path of a file mayfly-provider-NAME: a script is started by itself, not through its interpreter",
  );

const word = z
  .string()
  .max(4_096)
  .regex(/^[^\0]*$/);

/** The entry in mayfly.yaml. */
export const config = z.strictObject({
  command: z
    .tuple([binary], word)
    .describe(
      "The binary mayfly-provider-NAME by its absolute path, and its arguments; `describe` or `serve` is put behind them",
    ),
  config: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("The provider's own part, as its manifest describes it; secrets stand in files that it names, never here"),
  audience: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      "For whom the token is that the provider shows upstream; written with `as: broker` and `as: job`, and only there",
    ),
  timeout: duration
    .refine((span) => span <= 60_000, "a provider has a minute at most")
    .prefault("10s")
    .describe("For each call, with the start of the process where it is not running; at most leases.patience makes sense"),
});

export type PluginConfig = z.output<typeof config>;
