import { z } from "zod";
import { type Filled, type ProofKind, slot, slotSpelling } from "../../src/lease/provider.ts";
import { fillSample } from "../../src/policy/slots.ts";
import { policy, slotted, textOf, tooMuch } from "./policy.ts";

const part = String.raw`(?:[\w+=,.@-]|${slotSpelling})+`;

/** The account is literal: no claim decides whose it is. */
const slottedArn = new RegExp(String.raw`^arn:aws[a-z-]*:iam::\d{12}:role/(?:${part}/)*${part}$`);

/** Secrets Manager's and the Parameter Store's own characters; none that IAM reads as a wildcard. */
const secretName = new RegExp(String.raw`^(?:[A-Za-z0-9/_+=.@-]|${slotSpelling}){1,512}$`);
const secretArn = /^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):\d{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$/;
const parameterName = new RegExp(String.raw`^/?(?:[A-Za-z0-9/_.-]|${slotSpelling}){1,1011}$`);

/** What the broker says of itself with every session; a role's trust policy can ask for them as `aws:RequestTag/…`. */
export const ownTags = { template: "mayfly-template", workload: "mayfly-workload" } as const;

/** What a tag cannot hold, written as `=` and two hexadecimal digits a byte, so that two names never become one. */
export function tagText(name: string): string {
  return name.replaceAll(
    /[^\p{L}\p{Z}\p{N}_.:/+@-]/gu,
    (sign) => `=${Buffer.from(sign, "utf8").toString("hex").toUpperCase().match(/../g)?.join("=")}`,
  );
}

const maxTags = 50;

const tagKey = /^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$/u;

const tags = z.record(z.string(), slot("tag")).superRefine((all, context) => {
  const complain = (message: string, ...path: string[]): void => context.addIssue({ code: "custom", path, message });
  const keys = Object.keys(all);
  for (const key of keys) {
    if (!tagKey.test(key) || /^aws:/i.test(key)) complain("not a key that AWS takes for a session tag", key);
    if (/^mayfly-/i.test(key)) complain("tags whose keys begin with mayfly- are the broker's own", key);
  }
  if (keys.length > maxTags - 2) complain(`AWS takes at most ${maxTags} session tags, of which two are the broker's`);
  if (new Set(keys.map((key) => key.toLowerCase())).size < keys.length)
    complain("AWS does not tell two keys apart that differ in upper and lower case only");
});

const shape = z.strictObject({
  role: z
    .string()
    .regex(slottedArn, "write a role's ARN, such as arn:aws:iam::111122223333:role/ci-deploy; its account is literal")
    .transform((text): unknown => text)
    .pipe(slot("arn-part"))
    .describe("The role to take on."),
  policy: policy
    .optional()
    .describe("AWS's own policy as YAML or JSON: what the job may do is the role AND this. Gives an `aws-session`."),
  secret: z
    .string()
    .refine((text) => secretName.test(text) || secretArn.test(text), "write a secret's name, or its complete ARN")
    .transform((text): unknown => text)
    .pipe(slotted)
    .optional()
    .describe("A secret of Secrets Manager, by its name or its complete ARN. Gives its `fields`."),
  stage: z
    .string()
    .regex(/^[\w/+=.@-]{1,256}$/)
    .optional()
    .describe("The secret's version by its label; AWSCURRENT where left out."),
  parameter: z
    .string()
    .regex(parameterName, "write a parameter's name, such as /ci/{repository_id}/npm")
    .transform((text): unknown => text)
    .pipe(slotted)
    .optional()
    .describe("A parameter of the Systems Manager Parameter Store, decrypted. Gives its `fields`."),
  version: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/)
    .optional()
    .describe("One version of the secret or the parameter, by its id or number."),
  format: z
    .enum(["fields", "text"])
    .optional()
    .describe(
      "`fields`: a JSON object, each key a field (usual for a secret). `text`: one field, `value` (usual for a parameter).",
    ),
  tags: tags.optional().describe("Session tags beside the broker's own `mayfly-template` and `mayfly-workload`."),
  source_identity: slot("session-name")
    .optional()
    .describe("What CloudTrail keeps of who began, through every further role; the lease's name where left out."),
});

export type AwsOptions = z.output<typeof shape>;
export type Asked = Filled<AwsOptions>;

/** What does not fit together, and where. */
type Complaint = readonly [message: string, key?: keyof AwsOptions];

/** The template's part, as this entry of mayfly.yaml can keep it. */
export function optionsFor(region: string, as: ProofKind): z.ZodType<AwsOptions> {
  return shape.superRefine((written, context) => {
    const complaints = [...kindsOf(written), ...sessionsOf(written), ...regionsOf(written, region), ...addedTo(written, as)];
    for (const [message, key] of complaints)
      context.addIssue({ code: "custom", path: key === undefined ? [] : [key], message });
  });
}

function kindsOf({ policy: document, secret, parameter, stage }: AwsOptions): readonly Complaint[] {
  const kinds = [document, secret, parameter].filter((kind) => kind !== undefined);
  return [
    ...(kinds.length === 1
      ? []
      : [["say one of policy (a session for the job), secret or parameter (a stored value)"] as const]),
    ...(stage === undefined || secret !== undefined ? [] : [["only a secret has stages", "stage"] as const]),
  ];
}

function sessionsOf(written: AwsOptions): readonly Complaint[] {
  if (written.policy === undefined) return [];
  const why = tooMuch(textOf(fillSample(written.policy)));
  const strange = (["version", "format"] as const).filter((key) => written[key] !== undefined);
  return [
    ...(why === undefined ? [] : [[why, "policy"] as const]),
    ...strange.map((key): Complaint => ["this belongs to a stored value, not to a session", key]),
  ];
}

function regionsOf({ secret }: AwsOptions, region: string): readonly Complaint[] {
  const other = secret === undefined ? undefined : secretArn.exec(fillSample(secret))?.[1];
  if (other === undefined || other === region) return [];
  return [[`this secret is of ${other}; the provider's region is ${region}`, "secret"]];
}

function addedTo(written: AwsOptions, as: ProofKind): readonly Complaint[] {
  const added = as === "job" ? (["tags", "source_identity"] as const).filter((key) => written[key] !== undefined) : [];
  return added.map((key): Complaint => ["as: job shows the job's own token, to which nothing can be added", key]);
}

const filledArn = /^arn:(aws[a-z-]*):iam::(\d{12}):role\/((?:[\w+=,.@-]+\/)*([\w+=,.@-]{1,64}))$/;

export interface Role {
  readonly arn: string;
  readonly partition: string;
  readonly account: string;
  readonly name: string;
}

/** Undefined where its slots were filled to something that is no role's ARN. */
export function roleOf(arn: string): Role | undefined {
  const [, partition, account, , name] = (arn.length <= 2_048 ? filledArn.exec(arn) : undefined) ?? [];
  return partition === undefined || account === undefined || name === undefined ? undefined : { arn, partition, account, name };
}
