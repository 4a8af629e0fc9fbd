import { spawnSync } from "node:child_process";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Ending } from "../../src/lease/provider.ts";
import type { MaterialKind } from "../../src/material.ts";
import { printable } from "../../src/printable.ts";
import { type Command, launchOf, nameOf } from "./binary.ts";
import { field } from "./fields.ts";

const key = z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "a key is of lower-case letters, digits and '_'");

/** What a template says of every credential, whichever its provider. */
const reserved: ReadonlySet<string> = new Set(["provider", "ttl", "wait", "optional", "deliver"]);

const fields = z.record(key, field).refine((all) => Object.keys(all).length <= 64, "64 keys at most");

const kinds = [
  "aws-session",
  "bearer",
  "username-password",
  "x509",
  "ssh-certificate",
  "registry-login",
  "fields",
] as const satisfies readonly MaterialKind[];

const endings = ["revoke", "expires", "static"] as const satisfies readonly Ending["kind"][];

const fitting = z
  .strictObject({
    when: z.record(key, z.string()).default({}),
    gives: z.enum(kinds),
    ends: z.enum(endings),
    renew: z.boolean().default(false),
  })
  .refine(({ renew, ends }) => !renew || ends === "revoke", "only what can be revoked is renewed");

const manifest = z
  .strictObject({
    protocol: z.literal(1),
    name: z.string(),
    about: z.string().min(1).max(500),
    proves: z
      .array(z.enum(["broker", "host", "job"]))
      .min(1)
      .max(3),
    config: fields.default({}),
    options: fields.default({}),
    cases: z.array(fitting).min(1).max(64),
    rotates: z.array(key).max(64).default([]),
  })
  .superRefine((read, context) => {
    for (const [path, message] of contradictions(read)) context.addIssue({ code: "custom", path: [...path], message });
  });

export type Manifest = z.output<typeof manifest>;
export type Case = Manifest["cases"][number];

type Flaw = readonly [path: readonly (string | number)[], message: string];

function contradictions(read: Manifest): readonly Flaw[] {
  const { config, options, cases } = read;
  const slotted = Object.entries(config).filter(([, one]) => slotIn(one) || ("each" in one && slotIn(one.each)));
  return [
    ...slotted.map(([name]): Flaw => [["config", name], "claims never stand in mayfly.yaml, so there is no slot"]),
    ...Object.keys(options)
      .filter((name) => reserved.has(name))
      .map((name): Flaw => [["options", name], "every credential has a key of this name, which is the broker's"]),
    ...cases.flatMap((one, index) => caseFlaws(read, one, index)),
  ];
}

function slotIn(one: object): boolean {
  return "slot" in one && one.slot !== undefined;
}

function caseFlaws({ options, cases }: Manifest, { when }: Case, index: number): readonly Flaw[] {
  const isLast = index === cases.length - 1;
  const always = Object.keys(when).length === 0;
  if (always !== isLast) return [[["cases", index], "the last case, and no other, has no `when`"]];
  return Object.entries(when).flatMap(([name, word]): readonly Flaw[] => {
    const one = Object.hasOwn(options, name) ? options[name] : undefined;
    if (one?.type === "choice" && one.of.includes(word)) return [];
    return [[["cases", index, "when", name], `no choice of the options has the word ${JSON.stringify(word)}`]];
  });
}

/** The first case that fits these options. */
export function caseOf({ cases }: Manifest, options: Readonly<Record<string, unknown>>): Case {
  const found = cases.find(({ when }) => Object.entries(when).every(([name, word]) => options[name] === word));
  if (found === undefined) throw new BrokerError("internal", undefined, { detail: "a manifest without a last case" });
  return found;
}

/** A start that takes longer is no start; nobody is asked, nothing is read. */
const patience = 5_000;
const mostBytes = 256 * 1_024;

/**
 * What the binary says of itself. It is asked once, when mayfly.yaml is read, and while everything waits: templates mean nothing without it.
 * Throws `config-invalid`.
 */
export function describe(command: Command): Manifest {
  const { file, args, options } = launchOf(command, "describe");
  const limits = { timeout: patience, killSignal: "SIGKILL", maxBuffer: mostBytes } as const;
  const said = spawnSync(file, args, { ...options, ...limits, input: "", encoding: "buffer" });
  endGroup(said.pid);
  const refuse = (why: string): never => {
    throw new BrokerError("config-invalid", `the provider ${command[0]} cannot be used: ${printable(why.slice(0, 2_000))}`, {
      hint: `run ${[...command, "describe"].join(" ")} and look`,
      detail: printable(said.stderr.toString("utf8").trim().slice(-1_000)),
    });
  };
  if (said.error !== undefined) return refuse(`\`describe\` ${reasonOf(said.error)}`);
  if (said.status !== 0) return refuse(`\`describe\` ended with ${said.status ?? said.signal}`);
  const read = manifest.safeParse(jsonIn(said.stdout));
  if (!read.success)
    return refuse(read.error.issues.map(({ path, message }) => `${path.join(".") || "the manifest"}: ${message}`).join("; "));
  if (read.data.name !== nameOf(command)) return refuse(`it calls itself ${JSON.stringify(read.data.name)}`);
  return read.data;
}

/** What it started and left running. */
function endGroup(pid: number): void {
  try {
    if (pid > 0) process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of it is left, as it should be.
  }
}

function reasonOf(error: Error): string {
  const code = "code" in error ? error.code : undefined;
  if (code === "ETIMEDOUT") return `took longer than ${patience / 1_000} s`;
  if (code === "ENOBUFS") return `printed more than ${mostBytes / 1_024} KiB`;
  return `could not be started (${String(code)})`;
}

function jsonIn(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}
