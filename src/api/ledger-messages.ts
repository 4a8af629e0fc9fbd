import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { fromJson } from "@bufbuild/protobuf";
import { timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { z } from "zod";
import type { Entry } from "../ledger/entry.ts";
import type { LeaseRecord, LeaseState as LeaseStateName } from "../ledger/ledger.ts";
import type { EntrySchema, TemplateTraceSchema } from "./gen/mayfly/v1/audit_pb.ts";
import { Ending, type LeaseSchema, LeaseState } from "./gen/mayfly/v1/lease_pb.ts";

export function entryMessage({ index, time, event }: Entry): MessageInitShape<typeof EntrySchema> {
  const { kind, ...fields } = event;
  return { index: BigInt(index), time: timestampFromMs(time), kind, event: plainObject(fields) };
}

const states: Readonly<Record<LeaseStateName, LeaseState>> = {
  intent: LeaseState.INTENT,
  issued: LeaseState.ISSUED,
  failed: LeaseState.FAILED,
  unknown: LeaseState.UNKNOWN,
  delivered: LeaseState.DELIVERED,
  revoked: LeaseState.REVOKED,
  expired: LeaseState.EXPIRED,
  exposed: LeaseState.EXPOSED,
};

const endings = { revoke: Ending.REVOKE, expires: Ending.EXPIRES, static: Ending.STATIC } as const;

/** Undefined for a number that this version does not know: an unknown filter must not become no filter. */
export function leaseStateName(state: LeaseState): LeaseStateName | undefined {
  const names = ["intent", "issued", "failed", "unknown", "delivered", "revoked", "expired", "exposed"] as const;
  return names.find((name) => states[name] === state);
}

/** The handle stays behind: what ends a lease is nobody's business but the broker's. */
export function leaseMessage(lease: LeaseRecord): MessageInitShape<typeof LeaseSchema> {
  const { state, ending, options, openedAt, expiresAt, latestExpiry, nextAttempt, handle: _, unknownAt: _at, ...plain } = lease;
  return {
    ...plain,
    state: states[state],
    ending: ending === null ? Ending.UNSPECIFIED : endings[ending],
    options: fromJson(ValueSchema, plainValue(options)),
    openedAt: timestampFromMs(openedAt),
    latestExpiry: timestampFromMs(latestExpiry),
    nextAttempt: timestampFromMs(nextAttempt),
    ...(expiresAt === null ? {} : { expiresAt: timestampFromMs(expiresAt) }),
  };
}

const traceSchema = z.array(
  z.object({
    template: z.string(),
    matched: z.boolean(),
    lines: z.array(z.object({ line: z.string(), held: z.boolean(), expected: z.string(), found: z.string() })),
  }),
);

/** The ledger keeps a trace as plain data; what does not look like one, such as that of an older version, is none. */
export function traceMessages(trace: unknown): MessageInitShape<typeof TemplateTraceSchema>[] {
  return traceSchema.safeParse(trace).data ?? [];
}

function plainObject(fields: object): JsonObject {
  return Object.fromEntries(Object.entries(fields).map(([name, value]: [string, unknown]) => [name, plainValue(value)]));
}

/** Made once: making it costs more than what it reads. */
const json = z.json();

/** Entries are plain data by their schema; anything else would be a fault of ours and shows as null. */
function plainValue(value: unknown): JsonValue {
  return json.safeParse(value).data ?? null;
}
