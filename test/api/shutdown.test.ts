import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService, type RunResponse } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "../../src/api/gen/mayfly/v1/control_pb.ts";
import { openDoor, ownSockets, refusal } from "./open-door.ts";

async function* start(command: readonly string[]) {
  const value = {
    credentials: { case: "token" as const, value: "t" },
    command: [...command],
    workspace: "/",
    environment: { PATH: process.env["PATH"] ?? "" },
  };
  yield { message: { case: "start" as const, value } };
}

async function last(answers: AsyncIterable<RunResponse>): Promise<RunResponse["message"] | undefined> {
  let message: RunResponse["message"] | undefined;
  for await (const answer of answers) message = answer.message;
  return message;
}

describe("a door that closes", () => {
  test("lets a job that runs come to its end, and takes no new one meanwhile", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    const running = last(client.call.run(start(["sleep", "0.6"])));
    await sleep(200);
    const closed = open.door.close(5_000);
    expect(await refusal(last(client.call.run(start(["true"]))))).toMatchObject({ code: "draining" });
    expect(await refusal(client.call.startSession({ token: "t" }))).toMatchObject({ code: "draining" });
    const credentials = { case: "token", value: "t" } as const;
    expect(await refusal(client.call.observe({ credentials }))).toMatchObject({ code: "draining" });
    expect(await running).toMatchObject({ case: "result", value: { outcome: 1, exitCode: 0 } });
    await closed;
    expect(open.broker.ended).toEqual(["exited"]);
  });

  test("refuses a run whose start comes only now, though its call came before", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    const hesitant = async function* () {
      await sleep(400);
      yield* start(["true"]);
    };
    const running = refusal(last(client.call.run(hesitant())));
    await sleep(200);
    const closed = open.door.close(5_000);
    expect(await running).toMatchObject({ code: "draining" });
    await closed;
    expect(open.broker.asks).toEqual([]);
  });

  test("ends what still runs when the grace is over, and says why", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    const running = refusal(last(client.call.run(start(["sleep", "60"]))));
    await sleep(200);
    await open.door.close(100);
    expect(await running).toMatchObject({ code: "draining", message: "the broker is shutting down, so the job was ended" });
    expect(open.broker.ended).toEqual(["cancelled"]);
  });

  test("lets what still runs be contained until the end, and gives its place to a successor then", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    // Longer than a second door takes to be opened, and to be refused.
    const running = last(client.call.run(start(["sleep", "3"])));
    await sleep(200);
    const closed = open.door.close(5_000);
    await sleep(50);
    const folder = dirname(open.door.paths.broker);
    expect(await readdir(folder)).toEqual(["control.sock"]);
    using control = openClient(ControlService, open.door.paths.control);
    const asked = { who: "ann", why: "incident 7" };
    expect(await control.call.contain({ scope: "all", closed: true, ...asked })).toMatchObject({ runsEnded: 1 });
    await expect(openDoor({ sockets: ownSockets(folder) })).rejects.toMatchObject({ code: "socket-in-use" });
    expect(await running).toMatchObject({ case: "result" });
    await closed;
    expect(await readdir(folder)).toEqual([]);
    await using successor = await openDoor({ sockets: ownSockets(folder) });
    using other = openClient(BrokerService, successor.door.paths.broker);
    expect(await other.call.getStatus({})).toMatchObject({ version: "0.1.0" });
  });

  test("may be closed twice", async () => {
    await using open = await openDoor();
    await Promise.all([open.door.close(0), open.door.close(0)]);
  });
});
