import { readFileSync } from "node:fs";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { BrokerError } from "../../src/errors.ts";
import type { ProofKind } from "../../src/lease/provider.ts";

const file = z.string().startsWith("/", "name the file by its absolute path");

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    server: z.url({ protocol: /^https?$/ }).describe("https://HOST:PORT of the API server, as a kubeconfig has it."),
    ca: file.optional().describe("A PEM file with the cluster's authority; it replaces the public ones."),
    audience: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe("For `as: broker`: an audience of the API server's AuthenticationConfiguration."),
    token_file: file
      .optional()
      .describe(
        "For `as: host`: the token of the broker's own service account; only the broker's user may read it. Read anew each time.",
      ),
    allow_plaintext: z.boolean().default(false).describe("Plain http, for a server on this very host; refused for any other."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .refine(({ server, allow_plaintext }) => isSafe(new URL(server), allow_plaintext), {
    path: ["server"],
    message: "the address must be https; plain http is for loopback only, with allow_plaintext: true",
  });

export type KubernetesConfig = z.output<typeof config>;

function isSafe(address: URL, plaintext: boolean): boolean {
  if (address.username !== "" || address.search !== "" || address.hash !== "") return false;
  return address.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(address.hostname));
}

export function authorityOf({ ca }: KubernetesConfig): string | undefined {
  if (ca === undefined) return undefined;
  try {
    return readFileSync(ca, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `a kubernetes provider's ca file ${ca} cannot be read`, { cause });
  }
}

/** What is shown to the API server: a proof for this audience, or what this file holds. Whose it is must be written down, and nothing beside it. */
export type Shown = { readonly audience: string } | { readonly tokenFile: string };

export function shownBy({ audience, token_file: tokenFile }: KubernetesConfig, as: ProofKind): Shown {
  const refuse = (why: string): never => {
    throw new BrokerError("config-invalid", `a kubernetes provider does not fit its as: ${as}: ${why}`);
  };
  if (as === "host") {
    if (audience !== undefined) return refuse("audience is for as: broker");
    return tokenFile === undefined ? refuse("token_file is needed") : { tokenFile };
  }
  if (tokenFile !== undefined) return refuse("token_file is for as: host");
  return audience === undefined ? refuse("audience is needed") : { audience };
}
