import { z } from "zod";
import { duration } from "../../src/duration.ts";
import type { ProofKind } from "../../src/lease/provider.ts";

/** PostgreSQL cuts a longer name short (`NAMEDATALEN`), and what is cut short is somebody else's. */
export const longestName = 63;

const name = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= longestName, `a name has at most ${longestName} bytes`)
  .refine((text) => /^\P{Cc}+$/u.test(text), "a name is one line of text");

const file = z.string().startsWith("/");

/** Who the broker is to the server: what it holds, or, `as: broker`, a certificate of its own that it makes for each connection. */
const login = z
  .strictObject({
    user: name.describe("The role that creates and drops those of jobs."),
    password_file: file.optional().describe("Its password, in a file that the broker's user alone can read."),
    certificate: file.optional().describe("Instead of a password: a client certificate in PEM."),
    key: file.optional().describe("The certificate's key in PEM, in a file that the broker's user alone can read."),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), "a certificate comes with its key")
  .refine(
    ({ password_file, certificate }) => password_file === undefined || certificate === undefined,
    "write either a password_file or a certificate",
  );

/** The entry in mayfly.yaml. */
export const config = z
  .strictObject({
    host: z
      .string()
      .regex(/^[A-Za-z0-9.:-]{1,253}$/, "write a host's name or address")
      .describe("The primary: a standby takes no new roles."),
    port: z.number().int().min(1).max(65_535).default(5_432).describe("Where it listens."),
    database: name.describe(
      "The database to connect to; jobs are given the right to connect to it where it is not everybody's.",
    ),
    login: login.describe("Who the broker is to the server."),
    roles: z
      .array(name)
      .min(1)
      .max(64)
      .describe("The roles that templates may name. One that is a superuser, or can become one, is refused."),
    ca: file.optional().describe("A PEM file that replaces the public authorities."),
    allow_plaintext: z.boolean().default(false).describe("No TLS, for a server on this very host; refused for any other."),
    renew_within: duration
      .optional()
      .describe(
        "Ends a dead broker's roles: one that is not renewed for so long opens no session. Left out, they live as long as asked.",
      ),
    connections: z
      .number()
      .int()
      .min(1)
      .max(100)
      .default(10)
      .describe(
        "How many connections the broker opens at a time; a storm of jobs waits in line instead of using up the server's.",
      ),
    timeout: duration.prefault("5s").describe("For each conversation with the server."),
  })
  .refine(({ host, allow_plaintext }) => !allow_plaintext || ["127.0.0.1", "::1", "localhost"].includes(host), {
    path: ["allow_plaintext"],
    message: "without TLS is for loopback only",
  })
  .refine(({ login: { certificate }, allow_plaintext }) => certificate === undefined || !allow_plaintext, {
    path: ["login", "certificate"],
    message: "a client certificate is shown by TLS, so there can be no allow_plaintext",
  });

export type PostgresConfig = z.output<typeof config>;

/** What keeps a login from fitting the entry's `as`; undefined where all is well. */
export function misfit(
  { login: { password_file, certificate }, allow_plaintext }: PostgresConfig,
  as: ProofKind,
): string | undefined {
  const holds = password_file !== undefined || certificate !== undefined;
  if (as === "host" && !holds) return "as: host needs a password_file, or a certificate and its key";
  if (as === "broker" && holds) return "as: broker shows a certificate that the broker makes, so the login names a user alone";
  return as === "broker" && allow_plaintext
    ? "as: broker shows a certificate by TLS, so there can be no allow_plaintext"
    : undefined;
}

const span = z.string().refine((text) => duration.safeParse(text).success, "write a duration: 90s, 15m");

/** A template's `credentials.NAME` for this provider. */
export function optionsFor({ roles }: PostgresConfig) {
  const known = new Set(roles);
  return z.strictObject({
    roles: z
      .array(name.refine((role) => known.has(role), "a role that mayfly.yaml does not list for this provider"))
      .min(1)
      .max(8)
      .refine((asked) => new Set(asked).size === asked.length, "each role once")
      .describe("What the job may be. Its sessions begin as the first; it becomes another by SET ROLE, one at a time."),
    connections: z.number().int().min(1).max(100).default(5).describe("How many sessions it may have at a time."),
    statement_timeout: span.optional().describe("The server ends a statement after this; a default, which the job can change."),
    owned: z
      .enum(["reassign", "drop"])
      .default("reassign")
      .describe(
        "What becomes of things that the job's own role owns: they go to its first role, or go with whatever depends on them.",
      ),
  });
}

export type PostgresOptions = z.output<ReturnType<typeof optionsFor>>;
