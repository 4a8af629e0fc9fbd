import { z } from "zod";
import { type Filled, slot } from "../../src/lease/provider.ts";
import { fillSample } from "../../src/policy/slots.ts";

/** Cloud Storage, "Credential Access Boundaries": so many rules, and so many characters of an expression and of the whole. */
const maxRules = 10;
const maxText = 2_048;

/** A bucket's name (Cloud Storage, "Bucket naming"), literal: no claim decides whose it is. */
const bucket = z
  .string()
  .max(222)
  .regex(/^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])$/, "write a bucket's name; it is literal");

/** A role of Storage's own, or one that was made for this. */
const role = z
  .string()
  .max(256)
  .regex(
    /^(?:roles\/storage\.[A-Za-z]+|(?:projects\/[a-z][a-z0-9-]{4,28}[a-z0-9]|organizations\/\d+)\/roles\/[A-Za-z0-9_.]{3,64})$/,
    "write a role of Storage, such as roles/storage.objectViewer, or a custom one with its project",
  );

/** Made once: making a schema takes longer than using it. */
const slotted = slot("gcp-literal");

const condition = z
  .string()
  .max(maxText)
  .superRefine((text, context) => {
    const why = misplaced(text);
    if (why !== undefined) context.addIssue(why);
  })
  .transform((text): unknown => text)
  .pipe(slotted);

const rule = z.strictObject({
  bucket: bucket.describe("The bucket, by its name."),
  roles: z
    .array(role)
    .min(1)
    .max(100)
    .describe("At most these roles' permissions, where the service account has them: `roles/storage.objectViewer`."),
  condition: condition
    .optional()
    .describe(
      "Which objects, in CEL: `resource.name.startsWith('projects/_/buckets/B/objects/{repository_id}/')`. Left out, the bucket's.",
    ),
});

const rules = z.array(rule).min(1).max(maxRules);

/** What the job may do in Cloud Storage: what the service account may AND one of these rules. */
export const boundary = rules.superRefine((written, context) => {
  const { length } = textOf(fillSample(written));
  if (length > maxText) context.addIssue(`the access boundary has ${length} characters, and Google takes at most ${maxText}`);
});

export type Boundary = z.output<typeof rules>;

/** A string of CEL without escapes, read from left to right. Three quotes in a row are no empty string and a quote, but another kind of string. */
const literal = /'[^'\\\n]*'|"[^"\\\n]*"/g;

/**
 * Why a slot cannot stand where it does; undefined where all can. Outside of a string it would be code. Inside one it may only be compared as a
 * whole, or be a whole segment of a prefix: `startsWith('…/77')` is true of `…/778` too, and in `matches` a dot is any character.
 */
function misplaced(text: string): string | undefined {
  if (!/[{}]/.test(text)) return undefined;
  if (text.includes("'''") || text.includes('"""') || text.includes("\\"))
    return "beside a slot, write strings in one pair of quotes, without a backslash";
  if (/[{}]/.test(text.replaceAll(literal, "")))
    return "a slot can only stand inside a string: 'projects/_/buckets/B/objects/{claim}/'";
  for (const match of text.matchAll(literal)) {
    const [found] = match;
    if (!found.includes("{")) continue;
    const [before, after] = [text.slice(0, match.index), text.slice(match.index + found.length)];
    if (!isWhole(before, after) && !isPrefix(before, found))
      return "compare a string with a slot by ==, or by startsWith with a / after the last slot";
  }
  return undefined;
}

function isWhole(before: string, after: string): boolean {
  return /(?:^|[^=!<>])==\s*$/.test(before) || /^\s*==(?!=)/.test(after);
}

function isPrefix(before: string, found: string): boolean {
  return /\.startsWith\(\s*$/.test(before) && /\}[^{}]*\/[^{}]*.$/.test(found);
}

/** What is sent as the exchange's `options`. */
export function textOf(filled: Filled<Boundary>): string {
  const accessBoundaryRules = filled.map(({ bucket: name, roles, condition: expression }) => ({
    availableResource: `//storage.googleapis.com/projects/_/buckets/${name}`,
    availablePermissions: roles.map((one) => `inRole:${one}`),
    ...(expression === undefined ? {} : { availabilityCondition: { expression } }),
  }));
  return JSON.stringify({ accessBoundary: { accessBoundaryRules } });
}
