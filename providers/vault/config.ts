import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";
import { slot, slotSpelling } from "../../src/lease/provider.ts";

/** What Vault takes as the name of a role or a mount; nothing that would need escaping in a path. */
const name = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})*$/, "write a plain Vault name");

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    address: z.url({ protocol: /^https?$/ }),
    /** Plain http, for a Vault on this very host; refused for any other. */
    allow_plaintext: z.boolean().default(false),
    namespace: name.optional(),
    /** A PEM file that replaces the public authorities. */
    ca: z.string().startsWith("/").optional(),
    /** A jwt auth mount that trusts the broker's proofs, and whom to log in as for a job. */
    login: z.strictObject({ mount: name.default("jwt"), role: name, audience: z.string().min(1).max(255) }),
    /** The revoke-only role of the same mount. */
    sweeper: z.strictObject({ role: name }),
    /** For each request. */
    timeout: duration.prefault("5s"),
  })
  .refine(({ address, allow_plaintext }) => isSafe(new URL(address), allow_plaintext), {
    path: ["address"],
    message: "the address must be https; plain http is for loopback only, with allow_plaintext: true",
  });

export type VaultConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: VaultConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `a vault provider's ca file ${ca} cannot be read`, { cause });
  }
}

/** One segment of a path as a template writes it: letters and slots, neither `.` nor `..`. */
const segment = String.raw`(?!\.{1,2}(?:/|$))(?:[A-Za-z0-9_.@=+-]|${slotSpelling})+`;

/** No leading slash, no slot in the mount, and none of Vault's own mounts: a template reads secrets, it does not run Vault. */
const path = new RegExp(String.raw`^(?!(?:sys|auth|identity|cubbyhole)/)[A-Za-z0-9_-]+(?:/${segment})+$`);

/** A claim's name may have a slash, which is none of the path's. */
const everySlot = new RegExp(slotSpelling, "g");

/** Made once: making a schema takes longer than using it. */
const slotted = slot("path-segment");

/** The template's part; its descriptions are what an editor shows. */
export const options = z
  .strictObject({
    path: z
      .string()
      .max(512)
      .regex(path, "write a path below a secrets engine's mount, such as secret/data/ci/{repository_id} or database/creds/ROLE")
      .describe(
        "What Vault is asked for, below a secrets engine's mount. Slots such as `{repository_id}` fill one segment each.",
      ),
    kind: z
      .enum(["kv", "dynamic"])
      .optional()
      .describe(
        "`kv`: a stored secret's fields, which nobody can end. `dynamic`: a username and a password with a lease that is revoked. Left out: dynamic where the path has `creds` in Vault's usual place.",
      ),
    role: name.optional().describe("Another role to log in as than the provider's own."),
  })
  .transform(({ path: text, kind, role }) => ({ path: slotted.parse(text), kind: kind ?? kindOf(text), role }));

export type VaultOptions = z.output<typeof options>;

function kindOf(text: string): "kv" | "dynamic" {
  const telling = text
    .replaceAll(everySlot, "")
    .split("/")
    .slice(1)
    .find((part) => part === "data" || part === "creds");
  return telling === "creds" ? "dynamic" : "kv";
}
