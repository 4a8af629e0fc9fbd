import { z } from "zod";
import { type Code, isCode } from "../errors.ts";
import type { Identity } from "../identity/identity.ts";
import { type RecordedRequest, refusalOf } from "../policy/replay/request.ts";
import type { Instant } from "../time.ts";
import { type AuditClient, type Back, entriesBack, eventOf, identityIn, newestAbout, type Recorded } from "./recorded.ts";

/** What was denied in a span without being a request that could be decided again. */
export interface Tally {
  /** Denials before anybody believed who it was. */
  strangers: number;
  /** Denials of a flood, of which the ledger keeps only the number. */
  counted: number;
  /** Requests whose claims are not on record. */
  withoutClaims: number;
}

export function newTally(): Tally {
  return { strangers: 0, counted: 0, withoutClaims: 0 };
}

const run = z.object({
  run: z.string(),
  session: z.string(),
  template: z.string(),
  step: z.string().nullable(),
  policy: z.string(),
  asked: z.string().nullish(),
});
const observed = z.object({
  observation: z.string(),
  template: z.string(),
  step: z.string().nullable(),
  policy: z.string(),
  asked: z.string().nullish(),
});
const denied = z.object({
  denial: z.string(),
  code: z.custom<Code>((value) => typeof value === "string" && isCode(value)),
  issuer: z.string().nullish(),
  policy: z.string().nullable(),
  asked: z.string().nullish(),
  step: z.string().nullish(),
});
const counted = z.object({ count: z.number() });
const inForce = z.object({ policy: z.string() });
const session = z.object({ session: z.string() });

const kinds: readonly string[] = ["session-opened", "run-opened", "observed", "denied", "denials-counted"];

export interface Span extends Pick<Back, "heed"> {
  readonly since: Instant;
  readonly tally: Tally;
}

/**
 * Every request of a span whose identity is on record, the newest of each session first. Runs wait for the entry of their session, which is
 * older; what is held is never more than the runs of the sessions that were open at one moment.
 */
export async function* recordedRequests(call: AuditClient, { since, tally, heed }: Span): AsyncGenerator<RecordedRequest> {
  const policies = await policiesInForce(call, since);
  const waiting = new Waiting();
  for await (const entry of entriesBack(call, { kinds, since, ...(heed && { heed }) })) {
    if (entry.kind === "run-opened") waiting.add(entry);
    else if (entry.kind === "session-opened") yield* known(waiting.take(entry), entry, tally);
    else yield* single(entry, policies, tally);
  }
  for (const id of waiting.sessions()) {
    const opened = await newestAbout(call, id, ["session-opened"]);
    yield* known(waiting.takeOf(id), opened, tally);
  }
}

/** One request, by the id of its run, denial or observation. */
export async function requestOf(call: AuditClient, entry: Recorded): Promise<RecordedRequest | undefined> {
  const policies = entry.kind === "denied" ? await policiesInForce(call, entry.time) : noPolicies;
  if (entry.kind !== "run-opened") return single(entry, policies, newTally())[0];
  const opened = await newestAbout(call, eventOf(run, entry)?.session ?? "", ["session-opened"]);
  return known([entry], opened, newTally())[0];
}

/** Runs by the session that they are waiting for. */
class Waiting {
  readonly #runs = new Map<string, Recorded[]>();

  add(entry: Recorded): void {
    const id = eventOf(run, entry)?.session ?? "";
    const runs = this.#runs.get(id);
    if (runs === undefined) this.#runs.set(id, [entry]);
    else runs.push(entry);
  }

  take(opened: Recorded): readonly Recorded[] {
    return this.takeOf(eventOf(session, opened)?.session ?? "");
  }

  takeOf(id: string): readonly Recorded[] {
    const runs = this.#runs.get(id) ?? [];
    this.#runs.delete(id);
    return runs;
  }

  sessions(): readonly string[] {
    return [...this.#runs.keys()];
  }
}

function known(runs: readonly Recorded[], opened: Recorded | undefined, tally: Tally): readonly RecordedRequest[] {
  const identity = opened === undefined ? undefined : identityIn(opened);
  return runs.flatMap((entry) => {
    const event = eventOf(run, entry);
    if (event === undefined || identity === undefined) return unknownIn(tally);
    const outcome = { kind: "granted", template: event.template } as const;
    return [{ id: event.run, ...asked(event), time: entry.time, identity, outcome, policy: event.policy }];
  });
}

function unknownIn(tally: Tally): readonly RecordedRequest[] {
  tally.withoutClaims++;
  return [];
}

function asked(event: { readonly asked?: string | null | undefined; readonly step?: string | null | undefined }) {
  return { asked: event.asked ?? undefined, step: event.step ?? undefined };
}

/** What an entry tells alone. */
function single(entry: Recorded, policies: PoliciesInForce, tally: Tally): readonly RecordedRequest[] {
  const identity = identityIn(entry);
  switch (entry.kind) {
    case "observed":
      return observation(entry, identity, tally);
    case "denied":
      return denial(entry, { identity, policies, tally });
    default:
      tally.counted += eventOf(counted, entry)?.count ?? 0;
      return [];
  }
}

function observation(entry: Recorded, identity: Identity | undefined, tally: Tally): readonly RecordedRequest[] {
  const event = eventOf(observed, entry);
  if (event === undefined || identity === undefined) return unknownIn(tally);
  const outcome = { kind: "granted", template: event.template } as const;
  return [{ id: event.observation, ...asked(event), time: entry.time, identity, outcome, policy: event.policy }];
}

interface About {
  readonly identity: Identity | undefined;
  readonly policies: PoliciesInForce;
  readonly tally: Tally;
}

function denial(entry: Recorded, { identity, policies, tally }: About): readonly RecordedRequest[] {
  const event = eventOf(denied, entry);
  if (event === undefined) return unknownIn(tally);
  const decidedBy = event.policy ?? undefined;
  if (identity !== undefined) {
    const outcome = refusalOf(event.code, decidedBy);
    const policy = decidedBy ?? policies.at(entry.index);
    return [{ id: event.denial, ...asked(event), time: entry.time, identity, outcome, policy }];
  }
  if (event.issuer !== null && event.issuer !== undefined) return unknownIn(tally);
  tally.strangers++;
  return [];
}

/** Which policy decided at an entry: a refusal for another reason does not name it. */
interface PoliciesInForce {
  at(index: number): string | undefined;
}

const noPolicies: PoliciesInForce = { at: () => undefined };

async function policiesInForce(call: AuditClient, since: Instant): Promise<PoliciesInForce> {
  const newestFirst: { readonly index: number; readonly digest: string }[] = [];
  for await (const entry of entriesBack(call, { kinds: ["policy"], since: 0 })) {
    const digest = eventOf(inForce, entry)?.policy;
    if (digest !== undefined) newestFirst.push({ index: entry.index, digest });
    if (entry.time < since) break;
  }
  return { at: (index) => newestFirst.find((policy) => policy.index < index)?.digest };
}
