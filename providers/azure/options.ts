import { z } from "zod";
import { type Filled, slot, slotSpelling } from "../../src/lease/provider.ts";
import { vaultName } from "./config.ts";

/** One resource and `/.default`: that is all that an app can ask for (Microsoft identity platform, "The .default scope"). */
const scope = z
  .string()
  .max(512)
  .regex(
    /^(?:https|api):\/\/[A-Za-z0-9][A-Za-z0-9._/-]*\/\.default$/,
    "write one resource and /.default, such as https://management.azure.com/.default; it is literal",
  );

/** Made once: making a schema takes longer than using it. */
const slotted = slot("path-segment");

/** What a vault takes as a secret's name, letters and slots. */
const secretName = new RegExp(String.raw`^(?:[0-9a-zA-Z-]|${slotSpelling}){1,127}$`);

/** The template's part. */
export const options = z
  .strictObject({
    client_id: z
      .guid()
      .describe(
        "The app, or the user-assigned managed identity, whose federated credential names this workload. Its roles are all that limits the token.",
      ),
    scope: scope
      .optional()
      .describe("An access token for one resource: `https://management.azure.com/.default`. Gives a `bearer`."),
    vault: vaultName.optional().describe("The Key Vault of `secret`, by its name."),
    secret: z
      .string()
      .regex(secretName, "write a secret's name: a-z, A-Z, 0-9, - and slots")
      .transform((text): unknown => text)
      .pipe(slotted)
      .optional()
      .describe("A secret of that Key Vault. Gives its `fields`."),
    version: z
      .string()
      .regex(/^[0-9a-f]{32}$/, "write a version's 32 hexadecimal digits")
      .optional()
      .describe("One version of the secret: the newest where left out."),
    format: z
      .enum(["text", "fields"])
      .optional()
      .describe("`text` (usual): one field, `value`. `fields`: the secret is a JSON object, each key a field."),
  })
  .superRefine((written, context) => {
    const complain = (message: string, ...path: string[]): void => context.addIssue({ code: "custom", path, message });
    if ((written.scope === undefined) === (written.secret === undefined))
      complain("say one of scope (a token for the job) or secret (a stored value)");
    if ((written.vault === undefined) !== (written.secret === undefined)) complain("vault and secret go together", "vault");
    for (const key of ["version", "format"] as const)
      if (written.secret === undefined && written[key] !== undefined)
        complain("this belongs to a stored value, not to a token", key);
  });

export type AzureOptions = z.output<typeof options>;
export type Asked = Filled<AzureOptions>;
