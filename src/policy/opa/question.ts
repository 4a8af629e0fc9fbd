import type { Identity } from "../../identity/identity.ts";
import type { Instant } from "../../time.ts";
import type { Grant } from "../grant.ts";

/** What a policy sees as `input`. Nothing is left out or renamed without another `version`; keys may be added. */
export interface Question {
  readonly version: 1;
  /** RFC 3339, UTC, with milliseconds: such texts compare as the moments do. */
  readonly time: string;
  readonly identity: Pick<Identity, "issuer" | "subject" | "workload" | "job" | "trust" | "claims">;
  readonly template: string;
  readonly step: string | null;
  /** SHA-256, hex, of the templates that granted. */
  readonly policy: string;
  readonly credentials: readonly {
    readonly name: string;
    readonly provider: string;
    /** As the template writes them, with every slot filled. */
    readonly options: unknown;
    /** Seconds. */
    readonly ttl: number;
    readonly optional: boolean;
  }[];
  readonly network: readonly { readonly host: string; readonly port: number }[];
  readonly command: readonly string[];
  readonly workspace: string;
  readonly isolation: Limits;
  /** The parts that are only watched for now, and until when; null where all of it is enforced. */
  readonly observe: { readonly parts: readonly string[]; readonly until: string } | null;
}

/** The isolation as plain values: bytes, cores, counts, seconds. */
export interface Limits {
  readonly memory: number;
  readonly cpus: number;
  readonly pids: number;
  readonly timeout: number;
  /** Null: the host's own toolchain. */
  readonly image: string | null;
  /** What the host may lack, each with the template's reason. */
  readonly tolerate: Readonly<Record<string, string>>;
}

export function questionOf(grant: Grant<unknown, unknown>, isolation: Limits, now: Instant): Question {
  const { issuer, subject, workload, job, trust, claims } = grant.identity;
  const { template, policy, command, workspace, observe } = grant;
  return {
    version: 1,
    time: new Date(now).toISOString(),
    identity: { issuer, subject, workload, job, trust, claims },
    template,
    step: grant.step ?? null,
    policy,
    credentials: grant.credentials.map(({ name, provider, options, ttl, optional }) => ({
      name,
      provider,
      options: options ?? null,
      ttl: ttl / 1_000,
      optional,
    })),
    network: grant.network.map(({ host, port }) => ({ host, port })),
    command,
    workspace,
    isolation,
    observe: observe === undefined ? null : { parts: observe.parts, until: new Date(observe.until).toISOString() },
  };
}
