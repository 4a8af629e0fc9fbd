import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { z } from "zod";
import type { AuditService, Entry } from "../api/gen/mayfly/v1/audit_pb.ts";
import { bare } from "../identity/bare.ts";
import type { Identity } from "../identity/identity.ts";
import { trusts } from "../policy/language/template.ts";
import type { Instant } from "../time.ts";

export type AuditClient = Client<typeof AuditService>;

/** A line of the ledger, as audit.sock gives it; what is in it is read by the schemas below. */
export interface Recorded {
  readonly index: number;
  readonly time: Instant;
  readonly kind: string;
  readonly event: unknown;
}

export interface Back {
  readonly kinds: readonly string[];
  readonly since: Instant;
  /** Told after each page: how many entries were read, and back to when. */
  readonly heed?: (read: number, back: Instant) => void;
}

const page = 1_000;

/** Entries of these kinds, newest first, back to `since`. The ledger's time never goes back, so the first that is older ends it. */
export async function* entriesBack(call: AuditClient, { kinds, since, heed }: Back): AsyncGenerator<Recorded> {
  let read = 0;
  for (let from: bigint | undefined; ; ) {
    const start = from === undefined ? {} : { from };
    const { entries } = await call.listEntries({ kinds: [...kinds], limit: page, newestFirst: true, ...start });
    for (const entry of entries) {
      const recorded = recordedOf(entry);
      if (recorded.time < since) return;
      yield recorded;
    }
    const last = entries.at(-1);
    if (last === undefined || entries.length < page || last.index === 0n) return;
    read += entries.length;
    heed?.(read, recordedOf(last).time);
    from = last.index - 1n;
  }
}

/** The newest entry of these kinds about this id. */
export async function newestAbout(call: AuditClient, about: string, kinds: readonly string[]): Promise<Recorded | undefined> {
  const { entries } = await call.listEntries({ about, kinds: [...kinds], limit: 1, newestFirst: true });
  return entries[0] === undefined ? undefined : recordedOf(entries[0]);
}

function recordedOf({ index, time, kind, event }: Entry): Recorded {
  return { index: Number(index), time: time === undefined ? 0 : timestampMs(time), kind, event };
}

/** Undefined where it does not look like one: an older version wrote it. */
export function eventOf<T>(schema: z.ZodType<T>, { event }: Recorded): T | undefined {
  return schema.safeParse(event).data;
}

const text = z.string();
const claim = z.union([text, z.number(), z.boolean(), z.array(text)]);

const identitySchema = z.object({
  issuer: text,
  subject: text,
  workload: text,
  job: text,
  trust: z.enum([...trusts]),
  claims: z.record(text, claim),
});

/** Whose request it was; the token itself decides nothing, and of a refused one nothing is kept. */
export function identityIn({ event }: Pick<Recorded, "event">): Identity | undefined {
  const seen = identitySchema.safeParse(event).data;
  if (seen === undefined) return undefined;
  const spent = z.object({ token: text, until: z.number() }).safeParse(event).data;
  return {
    ...seen,
    claims: bare(Object.entries(seen.claims)),
    token: { key: spent?.token ?? "", expiresAt: spent?.until ?? 0 },
  };
}
