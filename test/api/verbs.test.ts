import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import type { SocketName } from "../../src/api/connection.ts";
import { AuditService } from "../../src/api/gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "../../src/api/gen/mayfly/v1/control_pb.ts";
import { grpcClient, openDoor, post, refusal } from "./open-door.ts";

const policy = { digest: createHash("sha256").update("a policy").digest("hex"), text: "a policy" };

const services = { broker: BrokerService, audit: AuditService, control: ControlService } as const;
const doors = ["broker", "audit", "control"] as const;

interface Verb {
  readonly door: SocketName;
  readonly path: string;
  readonly kind: string;
}

const verbs: readonly Verb[] = doors.flatMap((door) =>
  services[door].methods.map(({ name, methodKind }) => ({
    door,
    path: `/${services[door].typeName}/${name}`,
    kind: methodKind,
  })),
);

/** Enough for each verb to be answered rather than refused for its form. */
const bodies: Readonly<Record<string, object>> = {
  StartSession: { token: "fresh" },
  Observe: { token: "fresh" },
  EndSession: { handle: "handle-1" },
  GetEntry: { index: "0" },
  GetReceipt: { index: "0" },
  GetPolicy: { digest: policy.digest },
  ExplainDenial: { denial: "den-1" },
  Contain: { scope: "all", closed: true, who: "ann", why: "test" },
  RevokeLease: { lease: "lease-1", who: "ann", why: "test" },
  RefreshKeys: { who: "ann", why: "test" },
  AcceptKey: { issuer: "github", kid: "k2", who: "ann", why: "test" },
  RotateKey: { name: "proofs", who: "ann", why: "test" },
  Rotate: { provider: "vault-main", who: "ann", why: "test" },
  Reload: { who: "ann", why: "test" },
  Drain: { who: "ann", why: "test" },
};

const unary = verbs.filter(({ kind }) => kind === "unary");

describe("every verb at every socket", () => {
  test("there are as many verbs as the proto files name", () => {
    const text = ["broker", "audit", "control"].map((name) => readFileSync(`proto/mayfly/v1/${name}.proto`, "utf8")).join("");
    expect(verbs.length).toBe([...text.matchAll(/^ {2}rpc /gm)].length);
    expect(verbs.length).toBeGreaterThanOrEqual(17);
  });

  test("a verb is answered at its own door and turned away at the two others, whatever the protocol", async () => {
    await using open = await openDoor();
    await open.ledger.append([{ kind: "started", version: "0.1.0", configuration: "x", host: "h" }]);
    await open.ledger.storePolicy(policy);
    await open.ledger.append([
      {
        kind: "denied",
        denial: "den-1",
        code: "no-match",
        message: "m",
        peer: { uid: 1, pid: 7, cgroup: null },
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
      },
    ]);
    for (const verb of unary) {
      const body = JSON.stringify(bodies[verb.path.split("/").at(-1) ?? ""] ?? {});
      for (const door of doors) {
        const answer = await post(open.door.paths[door], verb.path, body);
        const seen = `${verb.path} at ${door}: ${answer.status} ${JSON.stringify(answer.body)}`;
        expect(answer.status, seen).toBe(door === verb.door ? 200 : 403);
        if (door !== verb.door) expect(JSON.stringify(answer.body), seen).toContain('"code":"not-allowed"');
      }
    }
  });

  test("the two streams are turned away at the wrong doors as well, by Connect and by gRPC", async () => {
    await using open = await openDoor();
    for (const wrong of ["audit", "control"] as const) {
      const socket = open.door.paths[wrong];
      using client = openClient(BrokerService, socket);
      for (const call of [client.call, grpcClient(BrokerService, socket)]) {
        expect(await refusal(drained(call.run(start())))).toMatchObject({ code: "not-allowed", hint: "use broker.sock" });
      }
    }
    for (const wrong of ["broker", "control"] as const) {
      using client = openClient(AuditService, open.door.paths[wrong]);
      expect(await refusal(drained(client.call.streamLeaves({})))).toMatchObject({
        code: "not-allowed",
        hint: "use audit.sock",
      });
    }
    expect(open.broker.asks).toEqual([]);
    using audit = openClient(AuditService, open.door.paths.audit);
    await drained(audit.call.streamLeaves({}));
  });

  test("what is no call at all gets a 404 on all three", async () => {
    await using open = await openDoor();
    for (const door of doors) expect((await post(open.door.paths[door], "/etc/passwd")).status).toBe(404);
  });
});

async function* start() {
  yield {
    message: {
      case: "start" as const,
      value: { credentials: { case: "token" as const, value: "t" }, command: ["true"], workspace: "/" },
    },
  };
}

async function drained(messages: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of messages) count += 1;
  return count;
}
