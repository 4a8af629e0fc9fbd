import { signCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { Event } from "../../src/ledger/entry.ts";
import { leafOf } from "../../src/ledger/leaf.ts";
import { Frontier, leafHash } from "../../src/ledger/merkle.ts";
import { noteSigner, verifierKey } from "../../src/ledger/note.ts";
import { aRun, aSession, delivered, issued, newKey, noon, opening, origin, revoked, runEnded, unknown } from "./fixture.ts";

export const signer = noteSigner(origin, newKey());
export const vkey = verifierKey(signer);

/** A log that whoever holds the key could have written and signed. */
export function signed(leaves: readonly Uint8Array[]) {
  const tree = new Frontier();
  for (const leaf of leaves) tree.append(leafHash(leaf));
  return { leaves, checkpoint: signCheckpoint({ size: tree.size, root: tree.root() }, signer), vkey };
}

export const leavesOf = (events: readonly Event[], times: readonly number[] = []) =>
  events.map((event, index) => leafOf({ v: 1, index, time: times[index] ?? noon, event }));

/** One job: two leases, one delivered, one unknown, both revoked. */
export const session = aSession({ id: "s1", token: "t1" });
export const run = aRun({ run: "r1", session: opening(session), leases: ["l1", "l2"] });
export const begun: readonly Event[] = [session.event, run.run, ...run.intents];
export const story: readonly Event[] = [
  ...begun,
  issued("l1"),
  delivered("l1"),
  unknown("l2"),
  revoked("l1"),
  revoked("l2"),
  runEnded("r1"),
];
