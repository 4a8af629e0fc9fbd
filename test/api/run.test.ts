import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService, type RunRequestSchema, type RunResponse, Signal } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { limits } from "../../src/api/limits.ts";
import { grpcClient, hurried, type OpenDoor, openDoor, refusal } from "./open-door.ts";

type Request = MessageInitShape<typeof RunRequestSchema>;

const path = { PATH: process.env["PATH"] ?? "/bin" };

function start(command: readonly string[], token = "t"): Request {
  const credentials = { case: "token" as const, value: token };
  return { message: { case: "start", value: { credentials, command: [...command], workspace: "/tmp", environment: path } } };
}

const stdin = (value: Uint8Array): Request => ({ message: { case: "stdin", value } });
const stdinEnd: Request = { message: { case: "stdinEnd", value: {} } };
const signal = (value: Signal): Request => ({ message: { case: "signal", value } });

async function* messages(...list: readonly Request[]): AsyncGenerator<Request> {
  yield* list;
}

/** Sends these and then keeps the stream open until the signal is aborted. */
async function* andStay(until: AbortSignal, ...list: readonly Request[]): AsyncGenerator<Request> {
  yield* list;
  if (!until.aborted) await once(until, "abort");
}

async function collect(answers: AsyncIterable<RunResponse>) {
  const seen: RunResponse["message"][] = [];
  for await (const { message } of answers) seen.push(message);
  const bytes = (name: "stdout" | "stderr") =>
    Buffer.concat(seen.flatMap((message) => (message.case === name ? [message.value] : []))).toString();
  return {
    seen,
    cases: seen.map((message) => message.case),
    stdout: bytes("stdout"),
    stderr: bytes("stderr"),
    last: seen.at(-1),
  };
}

function runIn(open: OpenDoor, requests: AsyncIterable<Request>, abort?: AbortSignal) {
  const client = openClient(BrokerService, open.door.paths.broker);
  return client.call.run(requests, abort === undefined ? {} : { signal: abort });
}

async function eventually(holds: () => boolean, within = 5_000): Promise<boolean> {
  for (const end = Date.now() + within; Date.now() < end; await sleep(10)) if (holds()) return true;
  return holds();
}

describe("a run", () => {
  test("is accepted first, passes stdin, stdout and stderr, and ends with its result, by Connect and by gRPC", async () => {
    await using open = await openDoor();
    using connect = openClient(BrokerService, open.door.paths.broker);
    for (const client of [connect.call, grpcClient(BrokerService, open.door.paths.broker)]) {
      const run = await collect(
        client.run(messages(start(["sh", "-c", "cat; echo oops >&2; exit 7"]), stdin(Buffer.from("hello")), stdinEnd)),
      );
      expect(run.cases[0]).toBe("accepted");
      expect([run.stdout, run.stderr]).toEqual(["hello", "oops\n"]);
      expect(run.last).toMatchObject({
        case: "result",
        value: { exitCode: 7, outcome: 1, leases: [{ credential: "db", end: 1 }] },
      });
    }
  });

  test("closes the job's stdin when the client half-closes", async () => {
    await using open = await openDoor();
    expect((await collect(runIn(open, messages(start(["cat"]))))).last).toMatchObject({ case: "result" });
  });

  test("passes a signal on, even behind as much unread stdin as the window holds", async () => {
    await using open = await openDoor();
    const full = Array.from({ length: limits.stdinWindow / 32_768 }, () => stdin(Buffer.alloc(32_768)));
    const trap = ["sh", "-c", 'trap "echo got; exit 9" TERM; echo up; while :; do sleep 0.05; done'];
    const up = new AbortController();
    const over = new AbortController();
    async function* requests() {
      yield* [start(trap), ...full];
      yield* andStay(up.signal);
      yield* andStay(over.signal, signal(Signal.TERM));
    }
    const heard: string[] = [];
    for await (const { message } of runIn(open, requests())) {
      if (message.case === "stdout") heard.push(Buffer.from(message.value).toString().trim());
      if (heard.includes("up")) up.abort();
      if (message.case === "result") expect(message.value.exitCode).toBe(9);
    }
    over.abort();
    expect(heard).toEqual(["up", "got"]);
  });

  test("asks for a fresh token and takes it", async () => {
    await using open = await openDoor();
    const fresh: Request = { message: { case: "freshToken", value: "new-token" } };
    async function* answering() {
      yield start(["true"], "stale");
      await sleep(100);
      yield fresh;
    }
    const run = await collect(runIn(open, answering()));
    expect(run.cases.slice(0, 2)).toEqual(["accepted", "tokenNeeded"]);
    expect(run.stderr).toBe("fresh: new-token\n");
  });

  const misspoken: readonly (readonly [string, readonly Request[], string])[] = [
    ["that begins with something else", [stdinEnd], "a run's first message is its start"],
    ["that says nothing", [], "a run's first message is its start"],
    [
      "without credentials",
      [{ message: { case: "start", value: { command: ["true"], workspace: "/" } } }],
      "the run brings neither an identity token nor a session's handle",
    ],
    ["with an empty token", [start(["true"], "")], "the run brings neither an identity token nor a session's handle"],
    ["of a command without a name", [start([""])], "a command's name is not empty"],
    ["with a NUL byte", [start(["a\0b"])], "a NUL byte can stand neither in a command, nor in a path, nor in the environment"],
    [
      "in a relative workspace",
      [
        {
          message: { case: "start", value: { credentials: { case: "token", value: "t" }, command: ["true"], workspace: "x" } },
        },
      ],
      "the workspace is an absolute path",
    ],
  ];
  test.each(misspoken)("%s is refused before the broker hears of it", async (_, requests, message) => {
    await using open = await openDoor();
    expect(await refusal(collect(runIn(open, messages(...requests))))).toMatchObject({ message });
    expect(open.broker.asks).toEqual([]);
  });

  const broken: readonly (readonly [string, Request, string])[] = [
    ["starts twice", start(["true"]), "a run starts once"],
    ["sends a signal that is none", signal(Signal.UNSPECIFIED), "this signal cannot be sent to a job"],
    [
      "sends an empty message",
      { message: { case: undefined } },
      "a message of a run says one thing, and this one says nothing that this broker knows",
    ],
  ];
  test.each(broken)("a client that %s loses its job and hears why", async (_, request, message) => {
    await using open = await openDoor();
    const over = new AbortController();
    const refused = await refusal(collect(runIn(open, andStay(over.signal, start(["sleep", "60"]), request))));
    over.abort();
    expect(refused).toMatchObject({ code: "usage", message });
    expect(open.broker.ended).toEqual(["cancelled"]);
  });

  test("whose first message does not come is ended", async () => {
    await using open = await openDoor({ clock: hurried(50) });
    const over = new AbortController();
    const refused = await refusal(collect(runIn(open, andStay(over.signal))));
    over.abort();
    expect(refused).toMatchObject({ code: "usage", message: "a run's first message comes within 10 seconds" });
  });
});

describe("a client that goes away", () => {
  test("takes its job with it, whether it cancels or its connection breaks", async () => {
    await using open = await openDoor();
    const cancel = new AbortController();
    const cancelled = runIn(open, andStay(cancel.signal, start(["sleep", "60"])), cancel.signal);
    await expect(async () => {
      for await (const { message } of cancelled) if (message.case === "accepted") cancel.abort();
    }).rejects.toThrow();
    expect(await eventually(() => open.broker.ended.length === 1)).toBe(true);

    const client = openClient(BrokerService, open.door.paths.broker);
    const stay = new AbortController();
    await expect(async () => {
      for await (const { message } of client.call.run(andStay(stay.signal, start(["sleep", "60"]))))
        if (message.case === "accepted") client[Symbol.dispose]();
    }).rejects.toThrow();
    stay.abort();
    expect(await eventually(() => open.broker.ended.length === 2)).toBe(true);
    expect(open.broker.ended).toEqual(["cancelled", "cancelled"]);
  });

  test("takes even a job with it whose output it never read", async () => {
    await using open = await openDoor();
    const cancel = new AbortController();
    const answers = runIn(open, andStay(cancel.signal, start(["cat", "/dev/zero"])), cancel.signal)[Symbol.asyncIterator]();
    await answers.next();
    await sleep(300);
    cancel.abort();
    await answers.next().catch(() => undefined);
    expect(await eventually(() => open.broker.ended.length === 1)).toBe(true);
  });
});

describe("back pressure", () => {
  test("a client that reads slowly slows the job and fills no buffer", async () => {
    await using open = await openDoor();
    const cancel = new AbortController();
    let produced = 0;
    const answers = runIn(
      open,
      andStay(cancel.signal, start(["sh", "-c", "head -c 134217728 /dev/zero; echo done >&2"])),
      cancel.signal,
    )[Symbol.asyncIterator]();
    for (let reads = 0; reads < 4; reads += 1) {
      const { value } = await answers.next();
      if (value?.message.case === "stdout") produced += value.message.value.length;
    }
    const before = process.memoryUsage();
    await sleep(1_000);
    const after = process.memoryUsage();
    expect(after.rss + after.external - before.rss - before.external).toBeLessThan(16 * 2 ** 20);
    expect(open.broker.ended).toEqual([]);
    for (let next = await answers.next(); next.done !== true; next = await answers.next()) {
      if (next.value.message.case === "stdout") produced += next.value.message.value.length;
    }
    expect(produced).toBe(134_217_728);
    cancel.abort();
  }, 60_000);

  test("a job that does not read its stdin stops the client from sending more", async () => {
    await using open = await openDoor();
    const cancel = new AbortController();
    let sent = 0;
    async function* flood() {
      yield start(["sleep", "60"]);
      for (;;) {
        sent += 32_768;
        yield stdin(Buffer.alloc(32_768));
      }
    }
    const run = collect(runIn(open, flood(), cancel.signal)).catch(() => undefined);
    // The window, the pipe to the job, and what HTTP/2 and the two sockets hold.
    const most = limits.stdinWindow + 2 ** 20;
    let seen: number;
    do {
      seen = sent;
      await sleep(700);
    } while (sent === 0 || (sent > seen && sent < most));
    expect(sent).toBeLessThan(most);
    cancel.abort();
    await run;
  });

  test("what a job has read is counted back to the client, byte for byte", async () => {
    await using open = await openDoor();
    const chunks = Array.from({ length: 64 }, () => stdin(Buffer.alloc(32_768)));
    const run = await collect(runIn(open, messages(start(["wc", "-c"]), ...chunks, stdinEnd)));
    expect(run.stdout.trim()).toBe(String(64 * 32_768));
    const taken = run.seen.flatMap((message) => (message.case === "stdinTaken" ? [message.value] : []));
    expect(taken.reduce((sum, bytes) => sum + bytes, 0)).toBe(64 * 32_768);
  });
});
