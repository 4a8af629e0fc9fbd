import { resolve } from "node:path";
import { z } from "zod";
import type { Config } from "../config.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import { decideEach } from "../policy/decide-any.ts";
import { matchAt } from "../policy/match.ts";
import type { Policy } from "../policy/policy.ts";
import { policyInvalid } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import type { Instant } from "../time.ts";
import type { Given } from "./explain-given.ts";
import type { Io } from "./io.ts";
import { readTemplates, type TemplateFlags } from "./templates.ts";

/** What is asked for, where nobody runs anything. */
export interface AskFlags extends TemplateFlags {
  readonly template?: string;
  readonly step?: string;
  readonly at?: string;
  readonly templates?: string;
  readonly json?: boolean;
}

export interface Asking {
  readonly identity: Identity;
  readonly command: readonly string[];
  readonly flags: AskFlags;
  /** When its run would begin. */
  readonly now: Instant;
}

interface Site {
  readonly config: Config;
  readonly flags: AskFlags;
}

export function folderOf(io: Io, { config, flags }: Site): string {
  return flags.templates === undefined ? config.templates : resolve(io.cwd, flags.templates);
}

/** Throws `policy-invalid`. */
export async function policyFrom(io: Io, types: LoadCatalogue, site: Site): Promise<Policy<Delivery, Isolation>> {
  const compiled = await readTemplates(io, types, { config: site.config, folder: folderOf(io, site) });
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  return compiled.policy;
}

const moment = z.iso.datetime({ offset: true });

/** `--at`, else now. Throws `usage`. */
export function timeAsked(io: Io, { at }: AskFlags): Instant {
  if (at === undefined) return io.clock.now();
  if (moment.safeParse(at).success) return Date.parse(at);
  throw new BrokerError("usage", `${JSON.stringify(at.slice(0, 40))} is no time`, {
    hint: "write one with its zone, such as 2026-11-23T10:00:00Z",
  });
}

/** What a job would be given, step by step where none is named, and what each template that was asked about says of it. */
export function givenTo(policy: Policy<Delivery, Isolation>, { identity, command, flags, now }: Asking): Given {
  const { template, step } = flags;
  const asked = [...policy.templates.values()].filter(({ name }) => template === undefined || name === template);
  return {
    decisions: decideEach(policy, { identity, template, step, command, now }),
    traces: asked.map((one) => matchAt(one, { identity, now })),
  };
}
