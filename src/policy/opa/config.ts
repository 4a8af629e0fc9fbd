import { z } from "zod";
import { duration } from "../../duration.ts";
import type { Duration } from "../../time.ts";

/** A bundle that is evaluated in the broker, or a server that is asked. */
export type LastWordConfig =
  | { readonly kind: "bundle"; readonly path: string; readonly decision: string }
  | {
      readonly kind: "server";
      readonly address: Address;
      readonly decision: string;
      /** For each question, from its first byte to the last of its answer. */
      readonly timeout: Duration;
      /** A PEM file that replaces the public authorities. */
      readonly ca: string | undefined;
      /** A file whose content is shown as a bearer token (RFC 6750 section 2.1), read anew for each question. */
      readonly tokenFile: string | undefined;
    };

export type Address = { readonly kind: "url"; readonly url: URL } | { readonly kind: "unix"; readonly path: string };

const absolute = z.string().regex(/^\/[^\0]*$/, "write an absolute path");

const written = z.strictObject({
  bundle: absolute.optional(),
  server: z.string().optional(),
  decision: z
    .string()
    .max(512)
    .regex(/^[A-Za-z0-9_-]+(?:\/[A-Za-z0-9_-]+)*$/, "write the rule's path with slashes, such as mayfly/decision")
    .default("mayfly/decision"),
  timeout: duration.refine((span) => span <= 10_000, "a run waits for its decision: 10s at most").optional(),
  ca: absolute.optional(),
  token_file: absolute.optional(),
});

/** The `last_word` of mayfly.yaml: exactly one of `bundle` and `server`. */
export const lastWordSchema: z.ZodType<LastWordConfig> = written.transform((part, context): LastWordConfig => {
  const { bundle, server, decision, timeout, ca, token_file: tokenFile } = part;
  const refuse = (path: string, message: string): never => {
    context.addIssue({ code: "custom", path: path === "" ? [] : [path], message });
    return z.NEVER;
  };
  if (server !== undefined && bundle === undefined) {
    const address = addressOf(server);
    if (address === undefined) return refuse("server", "write an https URL, http on loopback, or unix:///run/opa/opa.sock");
    return { kind: "server", address, decision, timeout: timeout ?? 1_000, ca, tokenFile };
  }
  if (bundle === undefined || server !== undefined) return refuse("", "write either 'bundle' or 'server'");
  const [odd] = Object.entries({ timeout, ca, token_file: tokenFile }).filter(([, value]) => value !== undefined);
  return odd === undefined
    ? { kind: "bundle", path: bundle, decision }
    : refuse(odd[0], "a bundle has none: it is for a server");
});

/** Whoever stands between could turn a no into a yes, so plain http leaves this host for nobody. */
function addressOf(text: string): Address | undefined {
  const [, socket] = /^unix:\/\/(\/[^\0?#%]{1,100})$/.exec(text) ?? [];
  if (socket !== undefined) return { kind: "unix", path: socket };
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const plain = [url.username, url.password, url.search, url.hash].every((part) => part === "");
  const loopback = ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname);
  const safe = url.protocol === "https:" || (url.protocol === "http:" && loopback);
  return plain && safe ? { kind: "url", url } : undefined;
}
