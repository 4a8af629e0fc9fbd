import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { type ProofKind, slot } from "../../src/lease/provider.ts";

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    registry: z
      .string()
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/, "write a registry as images name it: registry.example.com")
      .describe("The registry as images name it: `registry.example.com`."),
    realm: z
      .url({ protocol: /^https?$/ })
      .describe(
        "Where tokens are given; `curl -i https://REGISTRY/v2/` shows it as `realm`. Written down, so that no answer can move it.",
      ),
    service: z.string().min(1).max(255).describe("For whom tokens are made out; shown beside the realm as `service`."),
    issuer: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe("Who signs them (`iss`); anybody that the registry trusts, if left out."),
    login: z
      .strictObject({
        username: z
          .string()
          .regex(/^[^:\p{Cc}]{1,255}$/u, "write an account's name")
          .describe("The account; it should have no more than all templates together need."),
        password_file: z
          .string()
          .startsWith("/")
          .optional()
          .describe("Its password or token, in a file that the broker's user alone can read. For `as: host`."),
        audience: z
          .string()
          .min(1)
          .max(255)
          .optional()
          .describe(
            "Instead of a password, a token that says who asks, made out to this audience. For `as: broker` and `as: job`.",
          ),
      })
      .refine(({ password_file, audience }) => (password_file === undefined) !== (audience === undefined), {
        message: "write either a password_file or an audience",
      })
      .describe("Who the broker is to the token server."),
    ca: z.string().startsWith("/").optional().describe("A PEM file that replaces the public authorities."),
    allow_plaintext: z
      .boolean()
      .default(false)
      .describe("Plain http, for a token server on this very host; refused for any other."),
    timeout: duration.prefault("5s").describe("For each request."),
  })
  .refine(({ realm, allow_plaintext }) => isSafe(new URL(realm), allow_plaintext), {
    path: ["realm"],
    message: "the realm must be https; plain http is for loopback only, with allow_plaintext: true",
  });

export type RegistryConfig = z.output<typeof config>;

function isSafe(realm: URL, plaintext: boolean): boolean {
  if (realm.username !== "" || realm.hash !== "" || realm.searchParams.has("scope")) return false;
  return realm.protocol === "https:" || (plaintext && ["127.0.0.1", "[::1]", "localhost"].includes(realm.hostname));
}

/** What keeps a login from fitting the entry's `as`; undefined where all is well. */
export function misfit({ login: { password_file } }: RegistryConfig, as: ProofKind): string | undefined {
  if (as === "host") return password_file === undefined ? "as: host needs a password_file" : undefined;
  return password_file === undefined
    ? undefined
    : `as: ${as} shows a token, so the login names an audience and no password_file`;
}

const action = z.enum(["pull", "push", "delete"]);

/** A template's `credentials.NAME` for this provider. */
export const options = z.strictObject({
  repositories: z
    .array(
      z.strictObject({
        name: slot("path-segment").describe("One repository, without the registry: `shop/{project_path_slug}`."),
        actions: z
          .array(action)
          .min(1)
          .refine((asked) => new Set(asked).size === asked.length, "each action once")
          .describe("`pull`, `push`, `delete`; to push, clients need `pull` too."),
      }),
    )
    .min(1)
    .max(16)
    .describe("The repositories that the token is good for, each with what may be done there."),
});

export type RegistryOptions = z.output<typeof options>;
