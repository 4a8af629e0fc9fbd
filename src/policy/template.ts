import { z } from "zod";
import { duration } from "../duration.ts";
import type { WorkspaceMode } from "./grant.ts";
import { whoSchema } from "./who.ts";

/** Keys that the language has and that a later version of the broker will know. */
export const laterKeys: readonly string[] = ["extends", "for_each", "when", "observe", "any"];

export const notYet = "this version does not know it yet";

const day = 86_400_000;

/** Names become folders, entries and arguments: nothing in them that any of those would trip over. */
const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "a name is lower case letters, digits, '-' and '_', at most 63 characters");

const templateName = z
  .string()
  .max(128)
  .regex(
    /^[a-z0-9][a-z0-9_-]*(?:\/[a-z0-9][a-z0-9_-]*)*$/,
    "a template's name is lower case letters, digits, '-', '_', and '/' between parts",
  );

const argument = z.string().regex(/^[^\0]*$/, "an argument cannot contain NUL");

/** What is left of a credential's keys is its provider's own. */
const credential = z.looseObject({
  provider: z.string().min(1),
  ttl: duration.refine((span) => span <= day, "a credential lives 24h at most").prefault("10m"),
  deliver: z.unknown().optional(),
});

const step = z.strictObject({
  /** Pinned: the runner may ask for exactly this command or for none. */
  run: z.array(argument).min(1, "name the command, or leave 'run' out").optional(),
  credentials: z.array(z.string()).default([]),
  network: z.array(z.unknown()).max(0, `a step without network is all there is: ${notYet}`).default([]),
  workspace: z.enum(["read-only", "overlay", "rw"] as const satisfies readonly WorkspaceMode[]).default("rw"),
});

/** A template as it is written; `sandbox`, `deliver` and a provider's options are yet to be read by the rooms that own them. */
export const templateSchema = z.strictObject({
  version: z.literal(1),
  template: templateName,
  owner: z.string().min(1).max(128).optional(),
  who: whoSchema,
  credentials: z.record(name, credential).default({}),
  steps: z
    .record(name, step)
    .refine((steps) => Object.keys(steps).length > 0, "name at least one step, or leave 'steps' out")
    .optional(),
  sandbox: z.record(z.string(), z.unknown()).default({}),
  tolerate: z.record(z.string(), z.unknown()).default({}),
});

export type WrittenTemplate = z.output<typeof templateSchema>;
export type WrittenCredential = WrittenTemplate["credentials"][string];
export type WrittenStep = z.output<typeof step>;
