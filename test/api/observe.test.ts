import { durationMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { AuditService } from "../../src/api/gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { limits } from "../../src/api/limits.ts";
import { systemClock } from "../../src/time.ts";
import { observed } from "../ledger/fixture.ts";
import { grpcClient, openDoor, post, refusal } from "./open-door.ts";

const path = "/mayfly.v1.BrokerService/Observe";

test("an observation is answered in every protocol, and the broker is told who asked for what", async () => {
  await using open = await openDoor();
  const { broker } = open.door.paths;
  const whole = { template: "deploy", step: "ship", command: ["npm", "publish"] };
  const answer = await post(broker, path, JSON.stringify({ token: "fresh", ...whole }));
  expect(answer).toEqual({
    status: 200,
    body: {
      observation: "obs-1",
      template: "echo",
      step: "ship",
      reason: "everybody may",
      credentials: [{ name: "db", provider: "vault-main", ttl: "90s" }],
      network: ["*.mirror.example.com:443", "[2001:db8::1]:5432"],
      unmet: ["this broker has no network for jobs yet"],
    },
  });
  const told = { ...whole, credentials: "token", peer: { uid: process.getuid?.(), pid: process.pid } };
  expect(open.broker.changes).toMatchObject([told]);
  const credentials = { case: "sessionHandle", value: "handle-1" } as const;
  const plain = await grpcClient(BrokerService, broker).observe({ credentials });
  expect([plain.step, plain.credentials.map(({ ttl }) => ttl && durationMs(ttl))]).toEqual([undefined, [90_000]]);
  expect(open.broker.changes.at(-1)).toMatchObject({ credentials: "session", template: undefined, command: [] });
});

test.each<[string, object, string]>([
  ["without token and handle", {}, "token-missing"],
  ["with an empty token", { token: "" }, "token-missing"],
  ["with an empty handle", { sessionHandle: "" }, "token-missing"],
  ["of a command with a NUL byte", { token: "fresh", command: ["a\0b"] }, "usage"],
])("an observation %s is refused on record, before the broker hears of it", async (_, body, code) => {
  await using open = await openDoor();
  const answer = await post(open.door.paths.broker, path, JSON.stringify(body));
  expect(answer.body).toMatchObject({ details: [{ debug: { code } }] });
  expect((await open.ledger.entries({ limit: 9, kinds: ["denied"] })).map(({ event }) => event)).toMatchObject([
    { kind: "denied", code, claims: null, asked: null },
  ]);
  expect(open.broker.changes).toEqual([]);
});

test("a denial has the id under which the broker recorded it", async () => {
  await using open = await openDoor();
  const client = grpcClient(BrokerService, open.door.paths.broker);
  const refused = await refusal(client.observe({ credentials: { case: "token", value: "spent" } }));
  expect(refused).toMatchObject({ code: "token-spent", id: "den-1" });
});

test("nobody fills the ledger by it: beyond so many a minute a user hears busy, and in the next minute an answer again", async () => {
  let ahead = 0;
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
  await using open = await openDoor({ clock });
  const client = grpcClient(BrokerService, open.door.paths.broker);
  const ask = () => client.observe({ credentials: { case: "token", value: "fresh" } });
  for (let n = 0; n < limits.observations; n += 1) await ask();
  expect(await refusal(ask())).toMatchObject({ code: "busy", message: "a user observes at most 60 times within a minute" });
  expect(open.broker.changes).toHaveLength(limits.observations);
  ahead = limits.refusalWindow;
  expect(await ask()).toMatchObject({ observation: "obs-1" });
});

test("an auditor can have an observation explained by its id", async () => {
  await using open = await openDoor();
  await open.ledger.append([observed("obs-7")]);
  const { entry, templates } = await grpcClient(AuditService, open.door.paths.audit).explainDenial({ denial: "obs-7" });
  expect([entry?.kind, templates]).toEqual(["observed", []]);
  const [read] = await open.ledger.entries({ limit: 1, newestFirst: true });
  expect(read?.event).toMatchObject({ kind: "audit-read", what: "denial obs-7" });
});
