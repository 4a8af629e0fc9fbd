import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Event } from "../../src/ledger/entry.ts";
import { type OpenDoor, openDoor } from "../api/open-door.ts";
import { aRun, aSession, opening } from "../ledger/fixture.ts";
import { mayfly } from "./shell.ts";

let open: OpenDoor;
beforeAll(async () => {
  open = await openDoor();
});
afterAll(() => open[Symbol.asyncDispose]());

test("lease list says of each how it can end, how long it can live, and whose proof it took", async () => {
  const leases = ["asked", "revocable", "unrevocable", "stored", "gone"];
  const begun = aRun({ run: "run-1", session: opening(aSession({ id: "ses-1" })), leases });
  const until = Date.now() + 90_000;
  await open.ledger.begin({
    ...begun,
    intents: begun.intents.map((intent, index) => ({ ...intent, latestExpiry: until, ...(index === 2 && { as: "job" }) })),
  });
  const issued = (lease: string, ending: "revoke" | "expires" | "static"): Event => ({
    kind: "issued",
    lease,
    ending,
    handle: ending === "revoke" ? { id: "1" } : null,
    expiresAt: ending === "static" ? null : until,
  });
  await open.ledger.append([
    issued("revocable", "revoke"),
    issued("unrevocable", "expires"),
    issued("stored", "static"),
    { kind: "failed", lease: "gone", code: "provider-refused" },
  ]);
  const { stdout } = await mayfly(["lease", "list", "--state", "all"], {
    env: { MAYFLY_RUN: join(open.folder, "run") },
    now: until - 75_000,
  });
  const rows = stdout
    .trim()
    .split("\n")
    .map((line) => line.split(/ {2,}/));
  expect(rows[0]).toEqual(["LEASE", "STATE", "CREDENTIAL", "PROVIDER", "PROOF", "WORKLOAD", "ENDS", "LEFT"]);
  const told = new Map(
    rows.slice(1).map(([lease = "", state, , , proof, , ends, left]) => [lease, [state, proof, ends, left]]),
  );
  expect(Object.fromEntries(told)).toEqual({
    asked: ["intent", "broker", "unknown", "1m15s"],
    revocable: ["issued", "broker", "revocable", "1m15s"],
    unrevocable: ["issued", "job", "expires", "1m15s"],
    stored: ["issued", "broker", "never", "for ever"],
    gone: ["failed", "broker", "-", "-"],
  });
});
