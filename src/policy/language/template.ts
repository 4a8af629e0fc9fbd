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
  .max(128, "a template's name has 128 characters at most")
  .regex(
    /^[a-z0-9][a-z0-9_-]*(?:\/[a-z0-9][a-z0-9_-]*)*$/,
    "a template's name is lower case letters, digits, '-', '_', and '/' between parts",
  );

export const argument = z
  .string()
  .max(4_096, "an argument has 4,096 characters at most")
  .regex(/^[^\0]*$/, "an argument cannot contain NUL");

export const command = z
  .array(argument, "a command is a list of its words: [npm, run, migrate]")
  .min(1, "name the command, or leave 'run' out")
  .max(64, "a command has 64 arguments at most");

/** Words for people, which are printed: nothing in them that would end the line or act on a terminal. */
export function oneLine(most: number): z.ZodString {
  return z
    .string()
    .max(most, `${most} characters at most`)
    .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, "write one line of text, without characters that do not show");
}

export const owner = oneLine(128);

const reason = oneLine(200).min(8, "say why, in at least eight characters");

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

/** Those that every credential has, whichever its provider. */
export const commonKeys: readonly string[] = Object.keys(credential.shape);

const step = z.strictObject({
  /** Pinned: the runner may ask for exactly this command or for none. */
  run: command.optional(),
  credentials: z.array(z.string()).max(100).default([]),
  network: networkList.default([]),
  workspace: z.enum(["read-only", "overlay", "rw"] as const satisfies readonly WorkspaceMode[]).default("rw"),
});

/** What a file of 256 KiB can multiply to is bounded too. */
export function atMost(most: number): (record: object) => boolean {
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

/** The day itself is the last one; what comes after it must have a date of four digits too. */
const lastDay = z.iso
  .date('write a date, such as "2027-01-31"')
  .refine((date) => date < "9999-12-31", "a day that is so far away is never: name one in the coming weeks");

/** `who` and `when`: one, or a list of those that must all hold. */
export const severalParts = z
  .unknown()
  .refine((parts) => !Array.isArray(parts) || parts.length <= 64, "64 that must all hold, at most");

/** What must be known of a template before its base and its variables can be put in. */
export const headSchema = z.looseObject({
  template: templateName,
  extends: templateName.optional(),
  for_each: forEach.optional(),
  who: severalParts.optional(),
  when: severalParts.optional(),
});

/** A template as it is written; `who`, `when`, `sandbox`, `deliver` and a provider's options are read by what owns them. */
export const templateSchema = z.strictObject({
  version: z.literal(1),
  template: templateName,
  /** The name of a template that this one narrows. */
  extends: templateName.optional(),
  owner: owner.optional(),
  /** Left out, the template gives nothing to anybody: it is there to be extended. */
  who: severalParts.optional(),
  for_each: forEach.optional(),
  when: severalParts.optional(),
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
  observe: z.strictObject({ parts: z.array(z.enum(observable)).min(1).max(observable.length), until: lastDay }).optional(),
  tolerate: z.record(z.string(), z.unknown()).refine(atMost(64), "a template tolerates 64 things at most").default({}),
  /** Risks that `mayfly check` names and the author takes, by the rule's name, each with the reason. */
  accept: z.record(z.string(), reason).refine(atMost(64), "a template accepts 64 risks at most").default({}),
});

export type WrittenTemplate = z.output<typeof templateSchema>;
export type WrittenCredential = WrittenTemplate["credentials"][string];
export type WrittenStep = z.output<typeof step>;
