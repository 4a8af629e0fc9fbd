import { BlockList, isIP } from "node:net";
import { z } from "zod";
import { duration } from "../../src/duration.ts";
import { slot } from "../../src/lease/provider.ts";

/** An address or a network, as OpenSSH's `source-address` takes it. */
const network = z.string().refine((text) => networkOf(text) !== undefined, "write an address or a network: 192.0.2.0/24");

/** The entry in mayfly.yaml. */
export const config = z.strictObject({
  source_addresses: z
    .array(network)
    .min(1)
    .max(64)
    .optional()
    .describe(
      "Where jobs call from, as servers see it: a stolen certificate is of no use elsewhere. Templates may only narrow it.",
    ),
  longest: duration
    .prefault("1h")
    .describe("The longest life that a template may ask for: nobody can end a certificate before that."),
});

export type SshConfig = z.output<typeof config>;

/** What a certificate allows beside its command; none of them unless it is named (OpenSSH, PROTOCOL.certkeys). */
const extension = z.enum([
  "permit-pty",
  "permit-port-forwarding",
  "permit-agent-forwarding",
  "permit-X11-forwarding",
  "permit-user-rc",
]);

/**
 * A name that a server accepts for an account. It begins with text of the template's own: were all of it a claim's value, whoever
 * chooses that value could be `root`.
 */
const principal = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.@{}-]{0,127}$/, "write a principal, such as deploy or ci-{repository_id}")
  .pipe(slot("name"));

/** A template's `credentials.NAME` for this provider. */
export function optionsFor({ source_addresses: known }: SshConfig) {
  return z
    .strictObject({
      principals: z
        .array(principal)
        .min(1)
        .max(16)
        .describe(
          "Whom it may log in as: the names that a server accepts for an account. `ci-{repository_id}` may hold a claim.",
        ),
      command: z
        .string()
        .min(1)
        .max(1_024)
        .regex(/^\P{Cc}+$/u, "one line")
        .optional()
        .describe("The only command that it runs, whatever the client asks for; literal, never with a claim in it."),
      any_command: z.literal(true).optional().describe("Instead of `command`: it may run whatever the account may."),
      source_addresses: z
        .array(network)
        .min(1)
        .max(64)
        .optional()
        .describe("From where it may be used; left out, what mayfly.yaml says of this provider."),
      extensions: z
        .array(extension)
        .max(5)
        .default([])
        .describe("What it allows beside that: a terminal, forwarding, the account's own rc file. None unless named."),
    })
    .refine(({ command, any_command }) => (command === undefined) !== (any_command === undefined), {
      path: ["command"],
      message: "write either the one `command` that it may run, or `any_command: true`",
    })
    .refine(({ source_addresses: asked }) => asked === undefined || known === undefined || asked.every(within(known)), {
      path: ["source_addresses"],
      message: "outside of what mayfly.yaml says of this provider",
    });
}

export type SshOptions = z.output<ReturnType<typeof optionsFor>>;

interface Network {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly prefix: number;
}

function networkOf(text: string): Network | undefined {
  const [, address = "", bits] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const longest = version === 4 ? 32 : 128;
  const prefix = bits === undefined ? longest : Number(bits);
  return prefix > longest ? undefined : { address, family: version === 4 ? "ipv4" : "ipv6", prefix };
}

function within(known: readonly string[]): (asked: string) => boolean {
  return (asked) => known.some((outer) => holds(networkOf(outer), networkOf(asked)));
}

function holds(outer: Network | undefined, inner: Network | undefined): boolean {
  if (outer === undefined || inner === undefined || outer.family !== inner.family || inner.prefix < outer.prefix) return false;
  const list = new BlockList();
  list.addSubnet(outer.address, outer.prefix, outer.family);
  return list.check(inner.address, inner.family);
}
