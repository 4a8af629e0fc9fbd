import { describe, expect, test } from "vitest";
import { BrokerError } from "../../src/errors.ts";
import type { Event } from "../../src/ledger/entry.ts";
import type { LeaseState } from "../../src/ledger/ledger.ts";
import { isLeaseEvent, type LeaseEvent, liveStates, move } from "../../src/ledger/states.ts";
import {
  anIntent,
  delivered,
  denied,
  expired,
  exposed,
  failed,
  issued,
  revocationFailed,
  revoked,
  runEnded,
  unknown,
} from "./fixture.ts";

const states: readonly (LeaseState | undefined)[] = [
  undefined,
  "intent",
  "issued",
  "failed",
  "unknown",
  "delivered",
  "revoked",
  "expired",
  "exposed",
];
const all: readonly Event[] = [
  anIntent("l", "r"),
  issued("l"),
  failed("l"),
  unknown("l"),
  delivered("l"),
  revoked("l"),
  revocationFailed("l"),
  expired("l"),
  exposed("l"),
];
const events: readonly LeaseEvent[] = all.filter(isLeaseEvent);

/** Every legal move, written out by hand from the diagram in entry.ts; all others are illegal. */
const legal: Readonly<Record<string, LeaseState>> = {
  "nothing + intent": "intent",
  "intent + issued": "issued",
  "intent + failed": "failed",
  "intent + unknown": "unknown",
  "issued + delivered": "delivered",
  "issued + revoked": "revoked",
  "issued + expired": "expired",
  "issued + exposed": "exposed",
  "issued + revocation-failed": "issued",
  "delivered + revoked": "revoked",
  "delivered + expired": "expired",
  "delivered + exposed": "exposed",
  "delivered + revocation-failed": "delivered",
  "unknown + revoked": "revoked",
  "unknown + expired": "expired",
  "unknown + failed": "failed",
  "unknown + revocation-failed": "unknown",
};

function outcome(state: LeaseState | undefined, event: LeaseEvent): string {
  try {
    return move(state, event);
  } catch (error) {
    return error instanceof BrokerError ? error.code : "thrown";
  }
}

const table = states.flatMap((state) =>
  events.map((event) => [`${state ?? "nothing"} + ${event.kind}`, state, event] as const),
);

describe("a lease", () => {
  test.each(table)("%s", (name, state, event) => {
    const code = state === undefined ? "lease-unknown" : "lease-state";
    expect(outcome(state, event)).toBe(legal[name] ?? code);
  });

  test("has 81 moves in the table, 17 of them legal", () => {
    expect(table).toHaveLength(81);
    expect(Object.keys(legal).filter((name) => table.every(([row]) => row !== name))).toEqual([]);
  });

  test("is live exactly in the states that can still move", () => {
    const movable = states.filter(
      (state) => state !== undefined && events.some((event) => legal[`${state} + ${event.kind}`] !== undefined),
    );
    expect(new Set(liveStates)).toEqual(new Set(movable));
  });

  test("is moved by events that name it, and by no other", () => {
    expect([runEnded("r"), denied(1)].filter(isLeaseEvent)).toEqual([]);
    expect(events).toHaveLength(9);
  });
});
