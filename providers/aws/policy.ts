import { z } from "zod";
import { type Filled, slot } from "../../src/lease/provider.ts";

/** The inline session policy (AWS STS, AssumeRole, `Policy`): at most so many characters, of these. */
export const maxPolicy = 2_048;
const characters = /^[\t\n\r\u0020-\u00ff]+$/;

const literal = z
  .string()
  .min(1)
  .refine((text) => !/[{}]/.test(text), "no slot can stand here: what would widen the policy is literal");

/** `s3:GetObject`, `s3:Get*`: always one service's. */
const action = literal.regex(
  /^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/,
  "name the actions of one service, such as s3:GetObject or s3:Get*",
);
const anyAction = z.union([action, z.literal("*")]);

/** Made once: making a schema takes longer than using it. */
export const slotted = slot("policy-resource");

/** Slots are `{claim}`; IAM's own `${variables}` are filled by AWS with what nobody here decided. */
const value = z
  .string()
  .refine((text) => !text.includes("${"), "IAM's own variables cannot stand here; write a slot, such as {repository_id}")
  .transform((text): unknown => text)
  .pipe(slotted);

/** IAM takes one or a list of them everywhere. */
function many<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z.preprocess((one): readonly unknown[] => [one].flat(), z.array(item).min(1).max(200));
}

const condition = keyed(keyed(many(z.union([value, z.boolean(), z.number()]))));

function keyed<T>(item: z.ZodType<T>): z.ZodType<Record<string, T>> {
  return z.record(z.string(), item).refine((record) => Object.keys(record).every((key) => literal.safeParse(key).success), {
    message: "a condition's operators and keys are literal",
  });
}

const allow = z.strictObject({
  Sid: literal.optional(),
  Effect: z.literal("Allow"),
  Action: many(
    action.refine(
      (text) => !/^sts:/i.test(text),
      "sts is always denied: a session taken on by this one would lose this policy",
    ),
  ),
  Resource: many(value),
  Condition: condition.optional(),
});

/** What is taken away may be said in any of IAM's ways; an Allow of everything but something may not. */
const deny = z
  .strictObject({
    Sid: literal.optional(),
    Effect: z.literal("Deny"),
    Action: many(anyAction).optional(),
    NotAction: many(anyAction).optional(),
    Resource: many(value).optional(),
    NotResource: many(value).optional(),
    Condition: condition.optional(),
  })
  .refine(
    ({ Action, NotAction, Resource, NotResource }) =>
      (Action === undefined) !== (NotAction === undefined) && (Resource === undefined) !== (NotResource === undefined),
    "say Action or NotAction, and Resource or NotResource",
  );

const document = z.strictObject({
  Version: z.literal("2012-10-17").default("2012-10-17"),
  Statement: many(z.discriminatedUnion("Effect", [allow, deny])).refine(
    (statements) => statements.some(({ Effect }) => Effect === "Allow"),
    "a policy without an Allow allows nothing",
  ),
});

export type Policy = z.output<typeof document>;

/** AWS's own policy as YAML, or as JSON in a text. */
export const policy: z.ZodType<Policy> = z.preprocess(
  (written) => (typeof written === "string" ? parsed(written) : written),
  document,
);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A session that a job takes on with this one has no session policy any more (IAM, "Role chaining"), so none can be taken on. */
const noChaining = { Effect: "Deny", Action: "sts:*", Resource: "*" } as const;

/** What is sent: as short as can be, since the limit counts characters. */
export function textOf({ Version, Statement }: Filled<Policy>): string {
  return JSON.stringify({ Version, Statement: [...Statement, noChaining] }, (_, part: unknown) =>
    Array.isArray(part) && part.length === 1 ? (part[0] as unknown) : part,
  );
}

/** Why AWS would not take it; undefined where it would. */
export function tooMuch(text: string): string | undefined {
  if (text.length > maxPolicy) return `the session policy has ${text.length} characters, and AWS takes at most ${maxPolicy}`;
  return characters.test(text)
    ? undefined
    : "the session policy holds a character that AWS does not take (U+0020 to U+00FF only)";
}
