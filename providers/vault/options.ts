import { z } from "zod";
import { slot, slotSpelling } from "../../src/lease/provider.ts";
import { name } from "./config.ts";

/** One segment of a path as a template writes it: letters and slots, neither `.` nor `..`. */
const segment = String.raw`(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9_.@=+-]|${slotSpelling})+`;

/** No leading slash, no slot in the mount, and none of Vault's own mounts: a template reads secrets, it does not run Vault. */
const anyPath = new RegExp(String.raw`^(?!(?:sys|auth|identity|cubbyhole)/)[A-Za-z0-9_-]+(?:/${segment})+$`);

/** A claim's name may have a slash, which is none of the path's. */
const everySlot = new RegExp(slotSpelling, "g");

/** Made once: making a schema takes longer than using it. */
const slotted = slot("path-segment");

function below(mount: string, example: string): typeof slotted {
  return z
    .string()
    .regex(new RegExp(String.raw`^[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/${mount}$`), `write a path such as ${example}`)
    .pipe(slotted);
}

const role = name.optional();
/** One account or namespace: Vault takes lists of them, parted by commas, and OpenSSH reads patterns. */
const label = z
  .string()
  .regex(/^[A-Za-z0-9_.{}-]+$/, "write one plain name, without a comma or a wildcard")
  .pipe(slot("name"));
/** A name in DNS of which each claim is one label: no value may hold a dot, and nothing is a wildcard. */
const host = slot("file-name");
const list = (one: z.ZodType<string>): z.ZodOptional<z.ZodArray<z.ZodType<string>>> => z.array(one).max(32).optional();
const text = z.string();

const kinds = ["kv", "dynamic", "static", "pki", "ssh", "kubernetes", "datakey", "token", "aws", "gcp", "azure"] as const;

/** What a template may write, as editors complete it; which of it belongs together is said by `exact`. */
const written = z.strictObject({
  path: z
    .string()
    .max(512)
    .regex(
      anyPath,
      "write a path below a secrets engine's mount, such as secret/data/ci/{repository_id} or database/creds/ROLE",
    )
    .optional()
    .describe("The secret's path below its engine's mount; slots may stand anywhere but in the mount. All kinds but token."),
  kind: z
    .enum(kinds)
    .optional()
    .describe("What is behind the path. Left out: dynamic below creds, static below static-creds, else kv."),
  role: role.describe("Another role to log in as than the provider's own."),
  policies: list(text).describe("token: the policies of the child token, and no others."),
  uses: z.int().min(1).max(1_000_000).optional().describe("token: how many requests it may make."),
  common_name: text.optional().describe("pki: the certificate's name; a claim is one label of it."),
  dns_names: list(text).describe("pki: further names."),
  revocable: z
    .boolean()
    .optional()
    .describe("pki: the role has generate_lease, and the servers read the CA's revocation list."),
  principals: list(text).describe("ssh: the accounts, at least one."),
  extensions: list(text).describe("ssh: such as permit-pty; none unless named."),
  force_command: text.max(1_024).optional().describe("ssh: the only command that the certificate runs."),
  source_address: text.max(1_024).optional().describe("ssh: the only addresses that it may come from, as CIDR blocks."),
  namespace: text.optional().describe("kubernetes: the namespace of the token's service account."),
  account: z
    .enum(["existing", "generated"])
    .optional()
    .describe("kubernetes: whether the role makes a service account for each lease, which ends with it. Default: existing."),
  audiences: list(text).describe("kubernetes: who the token is for, at least one."),
  role_arn: text.optional().describe("aws: which of the role's role_arns."),
});

const extension = z.enum([
  "permit-pty",
  "permit-port-forwarding",
  "permit-agent-forwarding",
  "permit-user-rc",
  "permit-X11-forwarding",
  "no-touch-required",
]);

const exact = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("kv"), path: slotted, role }),
  z.strictObject({ kind: z.literal("dynamic"), path: slotted, role }),
  z.strictObject({ kind: z.literal("static"), path: below(`static-creds/${segment}`, "database/static-creds/ROLE"), role }),
  z.strictObject({
    kind: z.literal("pki"),
    path: below(`(?:issue|sign)/${segment}`, "pki/sign/ROLE"),
    role,
    common_name: host,
    dns_names: z.array(host).max(32).default([]),
    revocable: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal("ssh"),
    path: below(`(?:issue|sign)/${segment}`, "ssh/sign/ROLE"),
    role,
    principals: z.array(label).min(1).max(32),
    extensions: z.array(extension).default([]),
    force_command: z.string().min(1).optional(),
    source_address: z.string().min(1).optional(),
  }),
  z.strictObject({
    kind: z.literal("kubernetes"),
    path: below(`creds/${segment}`, "kubernetes/creds/ROLE"),
    role,
    namespace: label,
    account: z.enum(["existing", "generated"]).default("existing"),
    audiences: z
      .array(z.string().regex(/^[^,\s]{1,255}$/, "write one audience, without a comma"))
      .min(1)
      .max(8),
  }),
  z.strictObject({
    kind: z.literal("datakey"),
    path: below(`datakey/plaintext/${segment}`, "transit/datakey/plaintext/KEY"),
    role,
  }),
  z.strictObject({
    kind: z.literal("token"),
    role,
    policies: z
      .array(name.refine((policy) => policy !== "root", "root is no job's policy"))
      .min(1)
      .max(32),
    uses: z.int().optional(),
  }),
  z.strictObject({
    kind: z.literal("aws"),
    path: below(`(?:sts|creds)/${segment}`, "aws/sts/ROLE"),
    role,
    role_arn: z.string().startsWith("arn:").optional(),
  }),
  z.strictObject({
    kind: z.literal("gcp"),
    path: below(
      `(?:roleset|static-account|impersonated-account)/${segment}/token`,
      "gcp/impersonated-account/NAME/token: keys live too long for a job",
    ),
    role,
  }),
  z.strictObject({ kind: z.literal("azure"), path: below(`creds/${segment}`, "azure/creds/ROLE"), role }),
]);

/**
 * The template's part. `kind` says what the answer must be, so that a path which gives something else than the template's author thought
 * gives nothing.
 */
export const options = written.transform((given, context): z.output<typeof exact> => {
  const read = exact.safeParse({ ...given, kind: given.kind ?? kindOf(given.path ?? "") });
  if (read.success) return read.data;
  for (const { path, message } of read.error.issues) context.addIssue({ code: "custom", path, message });
  return z.NEVER;
});

export type VaultOptions = z.output<typeof options>;
export type Kind = (typeof kinds)[number];

function kindOf(path: string): "kv" | "dynamic" | "static" {
  const telling = path
    .replaceAll(everySlot, "")
    .split("/")
    .slice(1)
    .find((part) => part === "data" || part === "creds" || part === "static-creds");
  if (telling === "creds") return "dynamic";
  return telling === "static-creds" ? "static" : "kv";
}
