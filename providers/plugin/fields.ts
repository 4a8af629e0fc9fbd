import { z } from "zod";
import { slot } from "../../src/lease/provider.ts";
import type { SlotKind } from "../../src/policy/slots.ts";
import { printable } from "../../src/printable.ts";

/*
 * The closed language in which a plug-in says what its `config` and its `options` may hold: `message Field` of provider.proto. It is small
 * on purpose. A regular expression of a stranger's could be made to run for ever, so there is none, and what these forms
 * cannot say the plug-in itself refuses when it is asked.
 */
const forms = {
  name: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
  path: /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.-]+(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9_.-]+)*$/,
  host: /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?$/,
  file: /^\/[^\0]*$/,
  url: /^https?:\/\/[^\s]+$/,
  line: /^[^]+$/,
} as const;

type Form = keyof typeof forms;

/** All that there are: a new one in `policy/slots.ts` comes in here and in provider.proto, which a test holds side by side. */
export const slotNames = [
  "path-segment",
  "name",
  "arn-part",
  "policy-resource",
  "session-name",
  "tag",
  "gcp-literal",
  "file-name",
  "header",
  "query",
] as const satisfies readonly SlotKind[];

const about = z.string().min(1).max(500);
const longest = z.number().int().min(1).max(65_536).default(1_024);
const whole = z
  .number()
  .int()
  .min(-(2 ** 31))
  .max(2 ** 31 - 1);
const word = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}$/, "a choice is of plain words");

const text = {
  type: z.literal("text"),
  slot: z.enum(slotNames).optional(),
  form: z.enum(["name", "path", "host", "file", "url", "line"] as const satisfies readonly Form[]).optional(),
  longest,
};
const choice = { type: z.literal("choice"), of: z.array(word).min(1).max(64) };
const integer = { type: z.literal("integer"), least: whole.optional(), most: whole.optional() };
const flag = { type: z.literal("flag") };

const scalar = z.discriminatedUnion("type", [
  z.strictObject({ ...text, about: about.optional() }),
  z.strictObject({ ...choice, about: about.optional() }),
  z.strictObject({ ...integer, about: about.optional() }),
  z.strictObject({ ...flag, about: about.optional() }),
]);

const count = z.number().int().min(0).max(1_024);
const many = { each: scalar, least: count.default(1), most: count.default(64) };
const common = { about, optional: z.boolean().default(false) };

export const field = z
  .discriminatedUnion("type", [
    z.strictObject({ ...text, ...common }),
    z.strictObject({ ...choice, ...common }),
    z.strictObject({ ...integer, ...common }),
    z.strictObject({ ...flag, ...common }),
    z.strictObject({ type: z.literal("list"), ...many, ...common }),
    z.strictObject({ type: z.literal("map"), ...many, ...common }),
  ])
  .superRefine((one, context) => {
    const flaw = [one, ...("each" in one ? [one.each] : [])].map(flawOf).find((found) => found !== undefined);
    if (flaw !== undefined) context.addIssue({ code: "custom", message: flaw });
  });

export type Field = z.output<typeof field>;
type Scalar = z.output<typeof scalar>;

function flawOf(one: Field | Scalar): string | undefined {
  if (one.type === "text" && one.slot !== undefined && one.form !== undefined)
    return "a text has a slot or a form: a slot's kind says what may stand there";
  if (one.type === "choice" && new Set(one.of).size !== one.of.length) return "a choice names a word twice";
  if ("least" in one && (one.least ?? -Infinity) > (one.most ?? Infinity)) return "`least` is more than `most`";
  return undefined;
}

/** The schema that these fields describe: strict, and with every description that they have. */
export function schemaOf(fields: Readonly<Record<string, Field>>): z.ZodType<Record<string, unknown>> {
  const shape = Object.entries(fields).map(([name, one]): [string, z.ZodType] => {
    const schema = one.optional ? valueOf(one).optional() : valueOf(one);
    return [name, schema.describe(one.about)];
  });
  return z.strictObject(Object.fromEntries(shape));
}

function valueOf(one: Field | Scalar): z.ZodType {
  switch (one.type) {
    case "list":
      return z.array(valueOf(one.each)).min(one.least).max(one.most);
    case "map":
      return z.record(z.string().max(128).regex(forms.name, "write a plain name"), valueOf(one.each)).refine(...sized(one));
    case "text":
      return one.slot === undefined ? literal(one.form ?? "line", one.longest) : slot(one.slot);
    case "choice":
      return z.enum(one.of);
    case "integer":
      return integerWithin(one);
    case "flag":
      return z.boolean();
  }
}

function integerWithin({ least, most }: { least?: number | undefined; most?: number | undefined }): z.ZodType {
  return z
    .number()
    .int()
    .min(least ?? -(2 ** 31))
    .max(most ?? 2 ** 31 - 1);
}

function sized({ least, most }: { least: number; most: number }): [(map: object) => boolean, string] {
  const fits = (map: object): boolean => Object.keys(map).length >= least && Object.keys(map).length <= most;
  return [fits, `write ${least} to ${most} of them`];
}

function literal(form: Form, most: number): z.ZodType<string> {
  return z
    .string()
    .max(most)
    .regex(forms[form], `write ${meant[form]}`)
    .refine((written) => printable(written) === written, "write one line of text, without characters that do not show")
    .refine((written) => form !== "url" || isSafe(written), `write ${meant.url}`);
}

const meant: Readonly<Record<Form, string>> = {
  name: "a plain name of letters, digits, '_', '.' and '-'",
  path: "plain names with '/' between them",
  host: "a host in lower case, with a port where it needs one",
  file: "an absolute path",
  url: "an https URL, or http on loopback",
  line: "a text",
};

function isSafe(written: string): boolean {
  const url = URL.parse(written);
  if (url === null || url.username !== "" || url.password !== "" || url.hash !== "") return false;
  return url.protocol === "https:" || ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
}

/**
 * Filled by a claim, a text may be longer than the upstream takes, which no template shows. The first such key; undefined where
 * all is well.
 */
export function tooLong(
  fields: Readonly<Record<string, Field>>,
  filled: Readonly<Record<string, unknown>>,
): string | undefined {
  return Object.entries(fields).find(([name, one]) => isTooLong(one, filled[name]))?.[0];
}

function isTooLong(one: Field | Scalar, value: unknown): boolean {
  if ("each" in one) return typeof value === "object" && Object.values(value ?? {}).some((item) => isTooLong(one.each, item));
  return one.type === "text" && typeof value === "string" && value.length > one.longest;
}
