import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { BrokerError } from "../errors.ts";
import type { EntryQuery, LeaseQuery, Ledger } from "../ledger/ledger.ts";
import { peerIn } from "./caller.ts";
import { eventKinds, isEventKind } from "./event-kinds.ts";
import type {
  AuditService,
  ListEntriesRequest,
  ListLeasesRequest,
  StreamLeavesRequest,
  StreamLeavesResponseSchema,
} from "./gen/mayfly/v1/audit_pb.ts";
import { entryMessage, leaseMessage, leaseStateName, traceMessages } from "./ledger-messages.ts";
import { limits } from "./limits.ts";

/** Reads of the ledger. Each is recorded before it is answered: a read that cannot be recorded does not happen. */
export function auditService({ ledger }: { readonly ledger: Ledger }): ServiceImpl<typeof AuditService> {
  const record: Recorder = async (context, what) => {
    await ledger.append([{ kind: "audit-read", peer: peerIn(context).uid, what: clipped(what) }]);
  };
  return { ...lists(ledger, record), ...proofs(ledger, record), ...explanations(ledger, record) };
}

type Recorder = (context: HandlerContext, what: string) => Promise<void>;
type Calls<Names extends keyof ServiceImpl<typeof AuditService>> = Pick<ServiceImpl<typeof AuditService>, Names>;

function lists(ledger: Ledger, record: Recorder): Calls<"listEntries" | "getEntry" | "listLeases"> {
  return {
    async listEntries(request, context) {
      const query = entryQuery(request);
      await record(context, `entries ${request.about}`);
      return { entries: (await ledger.entries(query)).map(entryMessage) };
    },

    async getEntry({ index }, context) {
      await record(context, `entry ${index}`);
      const [entry] = await ledger.entries({ from: place(index), limit: 1 });
      if (entry?.index !== place(index)) throw new BrokerError("entry-unknown");
      return { entry: entryMessage(entry) };
    },

    async listLeases(request, context) {
      const query = leaseQuery(request);
      await record(context, `leases ${request.workload}`);
      return { leases: (await ledger.leases(query)).map(leaseMessage) };
    },
  };
}

function proofs(ledger: Ledger, record: Recorder): Calls<"streamLeaves" | "getCheckpoint" | "getReceipt"> {
  return {
    async *streamLeaves(request, context) {
      await record(context, `leaves from ${request.from}`);
      yield* leaves(ledger, request);
    },

    async getCheckpoint(_, context) {
      await record(context, "checkpoint");
      const { verifierKey } = await ledger.status();
      return { checkpoint: await ledger.checkpoint(), verifierKey };
    },

    async getReceipt({ index }, context) {
      await record(context, `receipt ${index}`);
      return { receipt: await ledger.receipt(place(index)) };
    },
  };
}

function explanations(ledger: Ledger, record: Recorder): Calls<"getPolicy" | "explainDenial"> {
  return {
    async getPolicy({ digest }, context) {
      await record(context, `policy ${digest}`);
      const text = await ledger.policyText(digest);
      if (text === undefined) throw new BrokerError("entry-unknown", "no policy of this digest has ever decided here");
      return { text };
    },

    async explainDenial({ denial }, context) {
      // Only what looks like one: somebody's token or handle, pasted by mistake, must not end up in the ledger.
      await record(context, `denial ${/^(denial|den|obs)-[\w-]{1,64}$/.test(denial) ? denial : "of another form"}`);
      const [entry] = denial === "" ? [] : await ledger.entries({ about: denial, kinds: ["denied", "observed"], limit: 1 });
      if (entry === undefined) throw new BrokerError("entry-unknown", "the ledger has no denial or observation of this id");
      const trace = entry.event.kind === "denied" ? entry.event.trace : [];
      return { entry: entryMessage(entry), templates: traceMessages(trace) };
    },
  };
}

function entryQuery({ from, limit, newestFirst, kinds, about }: ListEntriesRequest): EntryQuery {
  const known = kinds.filter(isEventKind);
  if (known.length !== kinds.length)
    throw new BrokerError("usage", "an entry has no such kind", { hint: `kinds are ${eventKinds.join(", ")}` });
  return {
    limit: page(limit),
    newestFirst,
    ...(from === undefined ? {} : { from: place(from) }),
    ...(known.length === 0 ? {} : { kinds: known }),
    ...(about === "" ? {} : { about }),
  };
}

function leaseQuery({ state, live, workload, limit }: ListLeasesRequest): LeaseQuery {
  const name = state === undefined ? undefined : leaseStateName(state);
  if (state !== undefined && (live || name === undefined))
    throw new BrokerError("usage", "ask for one known state, or for live leases");
  const wanted = live ? "live" : name;
  return { limit: page(limit), ...(wanted === undefined ? {} : { state: wanted }), ...(workload === "" ? {} : { workload }) };
}

async function* leaves(
  ledger: Ledger,
  { from, count }: StreamLeavesRequest,
): AsyncGenerator<MessageInitShape<typeof StreamLeavesResponseSchema>> {
  const end = count === 0n ? (await ledger.status()).size : place(from + count);
  for (let next = place(from); next < end; ) {
    const batch = await ledger.leaves(next, Math.min(limits.leaves, end - next));
    if (batch.length === 0) return;
    yield { from: BigInt(next), leaves: [...batch] };
    next += batch.length;
  }
}

/** A ledger's index fits a number; what does not is no place in it. */
function place(index: bigint): number {
  if (index > BigInt(Number.MAX_SAFE_INTEGER)) throw new BrokerError("entry-unknown");
  return Number(index);
}

function page(limit: number): number {
  if (limit > limits.page)
    throw new BrokerError("usage", `one answer has at most ${limits.page} items`, {
      hint: "ask for the rest from where it ends",
    });
  return limit === 0 ? 100 : limit;
}

/** What was asked for is the auditor's own text; it may not fill the ledger. */
function clipped(what: string): string {
  return what.trim().slice(0, 200);
}
