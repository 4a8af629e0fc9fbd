import { z } from "zod";
import { duration } from "../../duration.ts";
import { observable, type WorkspaceMode } from "../grant.ts";

const day = 86_400_000;

/** Names become folders, entries and arguments: nothing in them that any of those would trip over. */
export const partName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,62}$/, "a name is lower case letters, digits, '-' and '_', at most 63 characters");

export const templateName = z
  .string()
  .max(128)
  .regex(
    /^[a-z0-9][a-z0-9_-]*(?:\/[a-z0-9][a-z0-9_-]*)*$/,
    "a template's name is lower case letters, digits, '-', '_', and '/' between parts",
  );

export const argument = z.string().regex(/^[^\0]*$/, "an argument cannot contain NUL");

const reason = z.string().min(8, "say why, in at least eight characters").max(200);

export const life = duration.refine((span) => span <= day, "a credential lives 24h at most");

/** `db.example.com:5432`, `db.example.com` (443), `*.example.com`, `set:NAME`, `credentials`. */
export const networkList = z.array(z.string().min(1).max(300)).max(256);

/** What is left of a credential's keys is its provider's own. */
const credential = z.looseObject({
  provider: z.string().min(1),
  /** Left out: ten minutes, or the template's `max_ttl` where that is less. */
  ttl: life.optional(),
  /** How long a run waits for a provider that is down, before it is denied or goes on without. */
  wait: duration.refine((span) => span <= 600_000, "a run waits ten minutes at most").default(0),
  /** Whether the run goes on without it where its provider is down. */
  optional: z.boolean().default(false),
  deliver: z.unknown().optional(),
});

const step = z.strictObject({
  /** Pinned: the runner may ask for exactly this command or for none. */
  run: z.array(argument).min(1, "name the command, or leave 'run' out").optional(),
  credentials: z.array(z.string()).default([]),
  network: networkList.default([]),
  workspace: z.enum(["read-only", "overlay", "rw"] as const satisfies readonly WorkspaceMode[]).default("rw"),
});

/** What a file of 256 KiB can multiply to is bounded too. */
function atMost(most: number): (record: object) => boolean {
  return (record) => Object.keys(record).length <= most;
}

export const trusts = ["protected", "branch", "pull_request", "fork", "unknown"] as const;

/** `by_trust` is read here, what is left of it by the sandbox's own schema. */
const sandbox = z.looseObject({
  by_trust: z.partialRecord(z.enum(trusts), z.record(z.string(), z.unknown())).default({}),
});

/** What varies between the entries of `for_each`: plain text, so that no value can be a glob or a slot where it is put in. */
const eachValue = z
  .string()
  .max(1_024)
  .regex(/^[^*{}\0]*$/, "a value of for_each is plain text, without '*', '{' and '}'");

const forEach = z
  .record(partName, z.record(partName, eachValue))
  .refine((entries) => Object.keys(entries).length > 0, "name at least one entry, or leave 'for_each' out")
  .refine(atMost(100), "a template has 100 entries of for_each at most");

/** What must be known of a template before its base and its variables can be put in. */
export const headSchema = z.looseObject({
  template: templateName,
  extends: templateName.optional(),
  for_each: forEach.optional(),
});

/** A template as it is written; `who`, `when`, `sandbox`, `deliver` and a provider's options are read by what owns them. */
export const templateSchema = z.strictObject({
  version: z.literal(1),
  template: templateName,
  /** The name of a template that this one narrows. */
  extends: templateName.optional(),
  owner: z.string().min(1).max(128).optional(),
  /** Left out, the template gives nothing to anybody: it is there to be extended. */
  who: z.unknown().optional(),
  for_each: forEach.optional(),
  when: z.unknown().optional(),
  max_ttl: life.optional(),
  credentials: z.record(partName, credential).refine(atMost(100), "a template has 100 credentials at most").default({}),
  steps: z
    .record(partName, step)
    .refine((steps) => Object.keys(steps).length > 0, "name at least one step, or leave 'steps' out")
    .refine(atMost(100), "a template has 100 steps at most")
    .optional(),
  /** What a run may reach where the template has no steps; with steps, each says so itself. */
  network: networkList.optional(),
  sandbox: sandbox.prefault({}),
  observe: z
    .strictObject({ parts: z.array(z.enum(observable)).min(1), until: z.iso.date('write a date, such as "2027-01-31"') })
    .optional(),
  tolerate: z.record(z.string(), z.unknown()).default({}),
  /** Risks that `mayfly check` names and the author takes, by the rule's name, each with the reason. */
  accept: z.record(z.string(), reason).default({}),
});

export type WrittenTemplate = z.output<typeof templateSchema>;
export type WrittenCredential = WrittenTemplate["credentials"][string];
export type WrittenStep = z.output<typeof step>;
