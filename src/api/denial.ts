import { randomBytes } from "node:crypto";
import type { Peer } from "../contract.ts";
import { BrokerError, type Code } from "../errors.ts";
import { newId } from "../id.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { DoorLog } from "./log.ts";

/** What the door itself refuses with; whatever comes from the broker is on record already, and has an id. */
const own: ReadonlySet<Code> = new Set([
  "not-allowed",
  "peer-not-allowed",
  "usage",
  "token-missing",
  "session-unknown",
  "busy",
]);

/** Bytes that a caller may choose must not fill the ledger. */
const longest = 300;

/** Nobody was believed and nothing was decided yet. */
const nothing = {
  issuer: null,
  subject: null,
  workload: null,
  job: null,
  trust: null,
  claims: null,
  policy: null,
  trace: [],
  asked: null,
  step: null,
  lastWord: null,
} as const;

/**
 * Records a refusal that never reached the broker, and gives it back with the id that `mayfly explain` expands. A refusal stays one
 * where the ledger cannot be written: then it has no id.
 */
export async function onRecord(
  error: BrokerError,
  peer: Peer | undefined,
  to: { readonly ledger: Ledger; readonly log: DoorLog },
) {
  if (peer === undefined || error.id !== undefined || !own.has(error.code)) return error;
  const { code, message, hint, detail, cause } = error;
  const id = newId("denial", randomBytes);
  const { uid, pid, cgroup = null } = peer;
  try {
    const said = message.slice(0, longest);
    await to.ledger.append([{ kind: "denied", denial: id, code, message: said, peer: { uid, pid, cgroup }, ...nothing }]);
  } catch (failed) {
    to.log.error({ err: failed, code, uid }, "a refusal could not be recorded");
    return error;
  }
  return new BrokerError(code, message, { id, cause, ...(hint && { hint }), ...(detail && { detail }) });
}
