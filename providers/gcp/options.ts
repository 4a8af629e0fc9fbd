import { z } from "zod";
import { type Filled, type ProofKind, slot, slotSpelling } from "../../src/lease/provider.ts";
import { boundary } from "./boundary.ts";

/** The address of a service account that somebody made; Google's own agents and defaults are nobody's to act as. */
const account = z
  .string()
  .regex(
    /^[a-z](?:[a-z0-9-]{4,28}[a-z0-9])@[a-z](?:[a-z0-9-]{4,28}[a-z0-9])(?:\.[a-z0-9.-]+)?\.iam\.gserviceaccount\.com$/,
    "write a service account's address, NAME@PROJECT.iam.gserviceaccount.com; it is literal",
  );

const scope = z
  .url({ protocol: /^https$/ })
  .max(256)
  .regex(
    /^https:\/\/[a-z.]+\/[A-Za-z0-9_./-]*$/,
    "write a scope's URL, such as https://www.googleapis.com/auth/devstorage.read_only",
  );

/** Made once: making a schema takes longer than using it. */
const slotted = slot("path-segment");

/** Its project and place are literal; of a regional secret the place stands in the name (Secret Manager, `projects.secrets.create`). */
const secretName = new RegExp(
  String.raw`^projects/[a-z0-9:.-]{1,64}/(?:locations/[a-z0-9-]{1,32}/)?secrets/(?:[A-Za-z0-9_-]|${slotSpelling}){1,255}$`,
);

const shape = z.strictObject({
  service_account: account
    .optional()
    .describe(
      "Whom the job acts as: the token is this service account's. Left out, the workload identity pool's own principal.",
    ),
  scopes: z
    .array(scope)
    .min(1)
    .max(32)
    .optional()
    .describe(
      "An access token for these OAuth scopes. Gives a `bearer`. What it may do is the scopes AND the account's roles.",
    ),
  storage: boundary.optional().describe("An access token for Cloud Storage alone, within these rules. Gives a `bearer`."),
  id_token: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[^{}\s]+$/, "write an audience; it is literal")
    .optional()
    .describe(
      "An ID token for this audience, such as a Cloud Run service's URL. Gives a `bearer`; it lives for an hour, whoever asks.",
    ),
  secret: z
    .string()
    .regex(
      secretName,
      "write projects/PROJECT/secrets/NAME, or projects/PROJECT/locations/PLACE/secrets/NAME; slots in the name only",
    )
    .transform((text): unknown => text)
    .pipe(slotted)
    .optional()
    .describe("A secret of Secret Manager. Gives its `fields`."),
  version: z
    .string()
    .regex(/^(?:[1-9]\d{0,9}|[A-Za-z][A-Za-z0-9_-]{0,62})$/, "write a version's number or alias")
    .optional()
    .describe("The secret's version: `latest` where left out."),
  format: z
    .enum(["text", "fields"])
    .optional()
    .describe("`text` (usual): one field, `value`. `fields`: the secret is a JSON object, each key a field."),
});

export type GcpOptions = z.output<typeof shape>;
export type Asked = Filled<GcpOptions>;

const kinds = ["scopes", "storage", "id_token", "secret"] as const;
const needy = ["storage", "id_token"] as const;
const ofSecret = ["version", "format"] as const;

/** The template's part, as this entry of mayfly.yaml can keep it. */
export function optionsFor(as: ProofKind): z.ZodType<GcpOptions> {
  return shape.superRefine((written, context) => {
    const complain = (message: string, ...path: string[]): void => context.addIssue({ code: "custom", path, message });
    const has = (key: keyof GcpOptions): boolean => written[key] !== undefined;
    if (kinds.filter(has).length !== 1)
      complain("say one of scopes, storage, id_token (a token for the job) or secret (a stored value)");
    if (!has("service_account") && needy.some(has)) complain("only a service account has such tokens", "service_account");
    if (!has("service_account") && has("scopes") && as === "host")
      complain("as: host gives no job the host's own token: name the service account to act as", "service_account");
    for (const key of has("secret") ? [] : ofSecret.filter(has))
      complain("this belongs to a stored value, not to a token", key);
  });
}
