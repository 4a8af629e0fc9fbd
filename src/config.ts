import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { parseDocument, visit } from "yaml";
import { z } from "zod";
import { duration } from "./duration.ts";
import { BrokerError } from "./errors.ts";
import { failpoints, type Stop } from "./failpoint.ts";
import { issuersSchema } from "./identity/issuers/issuers.ts";
import { sharedSchema } from "./ledger/postgres/config.ts";
import { lastWordSchema } from "./policy/opa/config.ts";
import { sandboxConfigSchema } from "./sandbox/config.ts";

/** What is moved by `MAYFLY_*`; every path also has a flag, and the flag wins. */
export interface Settings {
  readonly config: string;
  readonly run: string | undefined;
  readonly state: string | undefined;
  readonly templates: string | undefined;
  readonly failpoint: Stop | undefined;
}

const defaults = {
  config: "/etc/mayfly/mayfly.yaml",
  run: "/run/mayfly",
  state: "/var/lib/mayfly",
  templates: "/etc/mayfly/templates",
};

export function settings(env: Readonly<Record<string, string | undefined>>): Settings {
  const [point, folder] = (env["MAYFLY_FAILPOINT"] ?? "").split(":", 2);
  const known = failpoints.find((name) => name === point);
  return {
    config: env["MAYFLY_CONFIG"] ?? defaults.config,
    run: env["MAYFLY_RUN"],
    state: env["MAYFLY_STATE"],
    templates: env["MAYFLY_TEMPLATES"],
    failpoint: known !== undefined && folder !== undefined ? { point: known, folder } : undefined,
  };
}

/** A name of /etc/group or a number; numbers need no entry there. */
const account = z.union([
  z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/),
  z
    .number()
    .int()
    .nonnegative()
    .max(2 ** 32 - 2),
]);

const endpoint = z
  .string()
  .regex(/^[a-z0-9.-]{1,253}:[0-9]{1,5}$/, "write a host in lower case and a port, such as db.example.com:5432");

const folder = z.string().regex(/^\/[^\0]*$/, "write an absolute path");

/**
 * Who may use a socket: the members of its group, as far as the file's mode goes; where `allow_uids` or `allow_groups` are
 * written, of those only the users that they name, by the kernel's word, root included. A group's name alone is short for `group`.
 */
const socketSchema = (group: string) => {
  const whole = z.strictObject({
    group: account.default(group),
    allow_uids: z.array(account).min(1).optional(),
    allow_groups: z.array(account).min(1).optional(),
  });
  const short = (written: unknown): unknown =>
    typeof written === "string" || typeof written === "number" ? { group: written } : written;
  return z.preprocess(short, whole).prefault({});
};

export const configSchema = z.strictObject({
  version: z.literal(1),
  /** Whom `serve` becomes once it has started; a name, or a number that needs no entry in /etc/passwd. */
  user: account.default("mayfly"),
  /** Where the ledger, the keys and nothing else live; 0700. */
  state: folder.default(defaults.state),
  /** Where the sockets are; 0750. */
  run: folder.default(defaults.run),
  templates: folder.default(defaults.templates),
  sockets: z
    .strictObject({
      /** May enter the folder of the sockets; each socket has a group of its own besides. */
      group: account.default("mayfly"),
      broker: socketSchema("mayfly-runners"),
      audit: socketSchema("mayfly-auditors"),
      control: socketSchema("mayfly-responders"),
    })
    .prefault({}),
  /** Who this broker is to others: `iss` of the tokens it signs, and the ledger's origin. */
  identity: z
    .strictObject({
      url: z.url({ protocol: /^https$/ }).default(`https://mayfly.invalid/${hostname()}`),
      origin: z
        .string()
        .regex(/^[^\s+]{1,255}$/, "an origin is a URL without its scheme, with no blank and no '+'")
        .default(`mayfly.invalid/${hostname()}`),
    })
    .prefault({}),
  issuers: issuersSchema,
  /** Each provider's own part is parsed by its type, in `providers/catalogue.ts`. */
  providers: z.record(
    z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
    z.looseObject({
      type: z.string(),
      /** Who it is to its upstream; left out, as whom its type usually is. */
      as: z.enum(["broker", "host", "job"]).optional(),
      /** Where its credentials are used: what `network: [credentials]` of a template stands for. */
      endpoints: z.array(endpoint).max(64).default([]),
      /** How often it replaces what its upstream stores, where it can; what this broker never replaced is replaced at once. */
      rotate_every: duration.optional(),
    }),
  ),
  /** A policy in Rego that hears of every grant, and can deny or narrow it. */
  last_word: lastWordSchema.optional(),
  sandbox: sandboxConfigSchema,
  leases: z
    .strictObject({
      /** The longest that a provider is waited for. */
      patience: duration.prefault("15s"),
      /** Between two looks at what must be ended. */
      sweep: duration.prefault("2s"),
    })
    .prefault({}),
  sessions: z
    .strictObject({
      longest: duration.prefault("6h"),
      /** To whom a session's handle is of use: the user that opened it, within the same control group (its runner), or the user alone. */
      bound_to: z.enum(["runner", "user"]).default("runner"),
    })
    .prefault({}),
  /** Which tokens are spent, among all brokers that name the same store; without it, each broker knows only its own. */
  shared: sharedSchema.optional(),
  log: z.enum(["trace", "debug", "info", "warn", "error"]).default("info"),
});

export interface Config extends z.output<typeof configSchema> {
  /** SHA-256, hex, of the file: recorded at each start, so that a change of configuration shows. */
  readonly digest: string;
}

/** Reads mayfly.yaml. Every problem is listed with its place; nothing is guessed and unknown keys do not load. */
export function loadConfig(path: string, moved: Settings): Config {
  const text = read(path);
  const document = parseDocument(text, { schema: "core", merge: false, uniqueKeys: true, strict: true });
  const flaw = document.errors[0] ?? document.warnings[0];
  if (flaw !== undefined) throw invalid(path, flaw.message.split("\n")[0] ?? "is not YAML");
  visit(document, {
    Alias: () => {
      throw invalid(path, "an alias (*name) stands in it: write the value out");
    },
  });
  const parsed = configSchema.safeParse(document.toJS());
  if (!parsed.success)
    throw invalid(
      path,
      parsed.error.issues
        .map((issue) => `${issue.path.length === 0 ? "the file" : issue.path.join(".")}: ${issue.message}`)
        .join("; "),
    );
  const { run, state, templates } = parsed.data;
  const digest = createHash("sha256").update(text).digest("hex");
  return {
    ...parsed.data,
    digest,
    run: moved.run ?? run,
    state: moved.state ?? state,
    templates: moved.templates ?? templates,
  };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BrokerError("config-invalid", `${path} cannot be read`, {
      hint: "name the file with --config or MAYFLY_CONFIG",
      cause,
    });
  }
}

function invalid(path: string, why: string): BrokerError {
  return new BrokerError("config-invalid", `${path}: ${why}`, { hint: "deploy/mayfly.yaml is an example that loads" });
}
