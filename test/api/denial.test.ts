import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import type { SocketName } from "../../src/api/connection.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { BrokerError } from "../../src/errors.ts";
import { EchoBroker } from "./echo-broker.ts";
import { openDoor, post, refusal } from "./open-door.ts";

interface Refused {
  readonly at: SocketName;
  readonly call: string;
  readonly body: object;
  readonly code: string;
  readonly message: string;
}

const refusals: Readonly<Record<string, Refused>> = {
  "a call at the wrong socket": {
    at: "audit",
    call: "/mayfly.v1.ControlService/Drain",
    body: { who: "ann", why: "x" },
    code: "not-allowed",
    message: "mayfly.v1.ControlService is not offered on audit.sock",
  },
  "a session without a token": {
    at: "broker",
    call: "/mayfly.v1.BrokerService/StartSession",
    body: {},
    code: "token-missing",
    message: "no identity token was found",
  },
  "the end of no session": {
    at: "broker",
    call: "/mayfly.v1.BrokerService/EndSession",
    body: {},
    code: "session-unknown",
    message: "no open session has this handle",
  },
  "a change by nobody": {
    at: "control",
    call: "/mayfly.v1.ControlService/Reload",
    body: { why: "x" },
    code: "usage",
    message: "a change names who asks for it",
  },
  "a page that is too long": {
    at: "audit",
    call: "/mayfly.v1.AuditService/ListEntries",
    body: { limit: 1_001 },
    code: "usage",
    message: "one answer has at most 1000 items",
  },
};

describe("what the door itself refuses is on record", () => {
  test.each(Object.entries(refusals))("%s", async (_, { at, call, body, code, message }) => {
    await using open = await openDoor();
    const { body: answer } = await post(open.door.paths[at], call, JSON.stringify(body));
    const entries = await open.ledger.entries({ limit: 10, kinds: ["denied"] });
    expect(entries.map(({ event }) => event)).toMatchObject([
      { code, message, peer: { uid: process.getuid?.(), pid: process.pid }, issuer: null, workload: null, policy: null },
    ]);
    const [denied] = entries;
    expect(answer).toMatchObject({
      message,
      details: [{ debug: { code, id: denied?.event.kind === "denied" ? denied.event.denial : "" } }],
    });
  });

  test("a run whose first message makes no sense", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    async function* nothing() {
      yield { message: { case: "stdinEnd" as const, value: {} } };
    }
    const running = async (): Promise<void> => {
      for await (const _ of client.call.run(nothing())) continue;
    };
    const refused = await refusal(running());
    expect(refused).toMatchObject({ code: "usage", message: "a run's first message is its start" });
    expect(await open.ledger.entries({ limit: 1, kinds: ["denied"] })).toMatchObject([{ event: { denial: refused.id } }]);
  });

  test("once: what the broker has put there has its id already", async () => {
    const spent = () => Promise.reject(new BrokerError("usage", "no such scope", { id: "den-7" }));
    await using open = await openDoor({ broker: Object.assign(new EchoBroker(), { startSession: spent }) });
    using client = openClient(BrokerService, open.door.paths.broker);
    expect(await refusal(client.call.startSession({ token: "t" }))).toMatchObject({ code: "usage", id: "den-7" });
    expect(await open.ledger.entries({ limit: 1, kinds: ["denied"] })).toEqual([]);
  });

  test("with no more of the caller's own words than fit a line", async () => {
    const long = () => Promise.reject(new BrokerError("usage", `${"a".repeat(100_000)} is no scope`));
    await using open = await openDoor({ broker: Object.assign(new EchoBroker(), { startSession: long }) });
    using client = openClient(BrokerService, open.door.paths.broker);
    await refusal(client.call.startSession({ token: "t" }));
    const [entry] = await open.ledger.entries({ limit: 1, kinds: ["denied"] });
    expect(JSON.stringify(entry).length).toBeLessThan(1_000);
  });

  test("and stays a refusal where the ledger cannot be written", async () => {
    await using open = await openDoor();
    await open.ledger[Symbol.asyncDispose]();
    using client = openClient(BrokerService, open.door.paths.broker);
    expect(await refusal(client.call.startSession({ token: "" }))).toMatchObject({ code: "token-missing", id: undefined });
    expect(open.logged).toMatchObject([{ level: "error", message: "a refusal could not be recorded" }, { level: "info" }]);
  });
});
