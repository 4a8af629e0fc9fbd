import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";

const file = z.string().startsWith("/", "name the file by its absolute path");

/** A number in YAML would do too; it is an id all the same, and is never counted with. */
const id = z
  .union([z.int().positive().transform(String), z.string()])
  .pipe(z.string().regex(/^[1-9][0-9]{0,15}$/, "write the id, a number"));

/** The entry in mayfly.yaml: one installation of one GitHub App. */
export const config = z
  .strictObject({
    app: z
      .union([z.int().positive().transform(String), z.string()])
      .pipe(z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "write the App's client id"))
      .describe("The App's client id, or its App id: `Iv23liAbCdEf`."),
    key_file: file.describe(
      "The App's private key, as GitHub gave it (PEM); only the broker's user may read it. Read anew for each lease.",
    ),
    installation: id.describe("The installation's id: the number at the end of its address in the organization's settings."),
    address: z
      .url({ protocol: /^https?$/ })
      .default("https://api.github.com")
      .describe(
        "The REST API: `https://HOST/api/v3` for GitHub Enterprise Server, `https://api.NAME.ghe.com` with data residency.",
      ),
    allow_plaintext: z.boolean().default(false).describe("Plain http, for a server on this very host; refused for any other."),
    ca: file.optional().describe("A PEM file that replaces the public authorities."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .refine(({ address, allow_plaintext }) => isSafe(new URL(address), allow_plaintext), {
    path: ["address"],
    message: "the address must be https; plain http is for loopback only, with allow_plaintext: true",
  });

export type GithubConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: GithubConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `a github provider's ca file ${ca} cannot be read`, { cause });
  }
}
