import { getEventListeners } from "node:events";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { Calls } from "../../src/api/calls.ts";
import { type RunRequest, RunRequestSchema } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { serveRun } from "../../src/api/run.ts";
import { systemClock } from "../../src/time.ts";
import { EchoBroker } from "./echo-broker.ts";

async function* starting(): AsyncGenerator<RunRequest> {
  const credentials = { case: "token" as const, value: "t" };
  const value = { credentials, command: ["true"], workspace: "/tmp", environment: { PATH: "/usr/bin:/bin" } };
  yield create(RunRequestSchema, { message: { case: "start", value } });
}

test("a run that is over is not kept by the signal of the shutdown to come", async () => {
  const calls = new Calls();
  const parts = { broker: new EchoBroker(), calls, clock: systemClock };
  const from = { peer: { uid: 1, gid: 1, pid: 1, cgroup: undefined }, signal: new AbortController().signal };
  const cases: unknown[] = [];
  for await (const { message } of serveRun(parts, starting(), from)) cases.push(message?.case);
  expect(cases).toContain("result");
  expect(calls.count).toBe(0);
  expect(getEventListeners(calls.signal, "abort")).toHaveLength(0);
});
