import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { limits } from "../../src/api/limits.ts";
import { hurried, type OpenDoor, openDoor, post, refusal } from "./open-door.ts";

const status = "/mayfly.v1.BrokerService/GetStatus";
const session = "/mayfly.v1.BrokerService/StartSession";

/** A JSON request of exactly so many bytes. */
function sized(bytes: number): string {
  const empty = JSON.stringify({ token: "" });
  return JSON.stringify({ token: "t".repeat(bytes - empty.length) });
}

/** Not `once`, which rejects on the reset that a refused client sees first. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

async function spoken(socket: Socket, text: string): Promise<string> {
  let heard = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  socket.write(text);
  await Promise.race([closed(socket), sleep(3_000)]);
  return heard;
}

async function stillServes(open: OpenDoor): Promise<void> {
  expect((await post(open.door.paths.broker, status)).status).toBe(200);
}

describe("a message", () => {
  test.each([
    ["of exactly the limit", limits.message, 200],
    ["one byte over", limits.message + 1, 429],
    ["a hundred times over", limits.message * 100, 429],
  ] as const)("%s", async (_, bytes, expected) => {
    await using open = await openDoor();
    const answer = await post(open.door.paths.broker, session, sized(bytes)).catch((error: Error) => ({
      status: 429,
      body: error.message,
    }));
    expect(answer.status, JSON.stringify(answer.body)).toBe(expected);
    await stillServes(open);
  });

  test("that would only be too long once unpacked is not unpacked", async () => {
    await using open = await openDoor();
    const bomb = gzipSync(sized(limits.message * 100));
    expect(bomb.length).toBeLessThan(limits.message);
    const answer = await post(open.door.paths.broker, session, bomb, { "content-encoding": "gzip" });
    expect(answer.body).toMatchObject({ code: "unimplemented" });
  });

  test("of a run's stdin over the limit ends the run", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    async function* requests() {
      yield {
        message: {
          case: "start" as const,
          value: {
            credentials: { case: "token" as const, value: "t" },
            command: ["sleep", "60"],
            workspace: "/",
            environment: { PATH: process.env["PATH"] ?? "" },
          },
        },
      };
      await sleep(100);
      yield { message: { case: "stdin" as const, value: Buffer.alloc(limits.message + 1) } };
      await sleep(1_000);
    }
    const refused = await refusal(
      (async () => {
        for await (const _ of client.call.run(requests())) continue;
      })(),
    );
    expect(refused).toMatchObject({
      code: "usage",
      message: expect.stringContaining("is larger than configured readMaxBytes"),
    });
    expect(open.broker.ended).toEqual(["cancelled"]);
  });

  test("with a member that nobody knows is refused, since it may be a misspelt restriction", async () => {
    await using open = await openDoor();
    expect(
      (await post(open.door.paths.audit, "/mayfly.v1.AuditService/ListLeases", JSON.stringify({ live: true }))).status,
    ).toBe(200);
    const answer = await post(open.door.paths.audit, "/mayfly.v1.AuditService/ListLeases", JSON.stringify({ life: true }));
    expect(answer).toMatchObject({ status: 400, body: { code: "invalid_argument" } });
  });
});

describe("headers", () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, "v"]));

  test.each([
    // host, content-type, connection and transfer-encoding come from the client itself.
    ["as many as may be", limits.headers - 4, 200],
    ["one more", limits.headers - 3, 431],
    ["a hundred times as many", limits.headers * 100, 431],
  ] as const)("over HTTP/1.1: %s", async (_, count, expected) => {
    await using open = await openDoor();
    expect((await post(open.door.paths.broker, status, "{}", many(count)).catch(() => ({ status: 431 }))).status).toBe(
      expected,
    );
    await stillServes(open);
  });

  test.each([
    ["within the limit", limits.headerBytes - 1_000, 200],
    ["over it", limits.headerBytes + 1, 431],
    ["a hundred times over", limits.headerBytes * 100, 431],
  ] as const)("of a size %s, over HTTP/1.1", async (_, bytes, expected) => {
    await using open = await openDoor();
    const answer = await post(open.door.paths.broker, status, "{}", { "x-long": "v".repeat(bytes) }).catch(() => ({
      status: 431,
    }));
    expect(answer.status).toBe(expected);
    await stillServes(open);
  });

  test.each([
    ["as many as may be", many(limits.headers - 1), 200],
    ["one too many", many(limits.headers), undefined],
    ["a hundred times as many", many(limits.headers * 100), undefined],
    ["too long", { "x-long": "v".repeat(limits.headerBytes * 2) }, undefined],
  ] as const)("over HTTP/2: %s", async (_, headers, expected) => {
    await using open = await openDoor();
    const connection = connectHttp2("http://localhost", {
      createConnection: () => connect(open.door.paths.broker),
      maxSendHeaderBlockLength: 1e9,
    });
    connection.on("error", () => undefined);
    const stream = connection.request({ ":method": "POST", ":path": status, "content-type": "application/json", ...headers });
    stream.on("error", () => undefined);
    stream.end("{}");
    const answered = new Promise<unknown>((resolve) => stream.once("response", (answer) => resolve(answer[":status"])));
    const refused = new Promise<unknown>((resolve) => stream.once("close", () => resolve(undefined)));
    const seen = await Promise.race([answered, refused, sleep(3_000, "nothing")]);
    expect(seen === 431 ? undefined : seen).toBe(expected);
    connection.destroy();
    await stillServes(open);
  });
});

describe("a slow client", () => {
  const dripping: readonly (readonly [string, string])[] = [
    ["says nothing", ""],
    ["stops within the first bytes of a preface", "PRI"],
    ["stops within its headers", "POST / HTTP/1.1\r\nHost: x\r\nX-Sl"],
    [
      "stops within its body",
      `POST ${status} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{`,
    ],
    ["stops after the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ];
  test.each(dripping)("that %s is closed in time, and no earlier", async (_, text) => {
    await using open = await openDoor({ clock: hurried(20) });
    const socket = connect(open.door.paths.broker);
    const started = performance.now();
    await spoken(socket, text);
    expect(socket.destroyed || socket.readableEnded).toBe(true);
    const took = (performance.now() - started) * 20;
    expect(took).toBeGreaterThan(limits.idle * 0.9);
    expect(took).toBeLessThan(limits.idle * 4);
    socket.destroy();
  });

  test("that drips its headers is closed although it is never silent", async () => {
    await using open = await openDoor({ clock: hurried(20) });
    const socket = connect(open.door.paths.broker);
    const drip = setInterval(() => socket.write("X: y\r\n"), 20);
    await spoken(socket, "POST / HTTP/1.1\r\nHost: x\r\n");
    clearInterval(drip);
    expect(socket.destroyed || socket.readableEnded).toBe(true);
    socket.destroy();
  });

  test("that drips a body over HTTP/2 is closed although it is never silent", async () => {
    await using open = await openDoor({ clock: hurried(20) });
    const connection = connectHttp2("http://localhost", { createConnection: () => connect(open.door.paths.broker) });
    connection.on("error", () => undefined);
    const stream = connection.request(
      { ":method": "POST", ":path": status, "content-type": "application/json" },
      { endStream: false },
    );
    stream.on("error", () => undefined);
    const drip = setInterval(() => stream.write(" "), 20);
    await Promise.race([once(connection, "close"), sleep(3_000)]);
    clearInterval(drip);
    expect(connection.destroyed).toBe(true);
  });

  test("is not one whose job is silent for long", async () => {
    await using open = await openDoor({ clock: hurried(50) });
    using client = openClient(BrokerService, open.door.paths.broker);
    async function* requests() {
      yield {
        message: {
          case: "start" as const,
          value: {
            credentials: { case: "token" as const, value: "t" },
            command: ["sleep", "1"],
            workspace: "/",
            environment: { PATH: process.env["PATH"] ?? "" },
          },
        },
      };
    }
    let last: string | undefined;
    for await (const { message } of client.call.run(requests())) last = message.case;
    expect(last).toBe("result");
  });
});

describe("connections", () => {
  const all = async (path: string, begin: (socket: Socket) => unknown): Promise<Socket[]> => {
    const held: Socket[] = [];
    for (let index = 0; index < limits.connectionsPerUser; index += 1) {
      const socket = connect(path);
      socket.on("error", () => undefined);
      await once(socket, "connect");
      begin(socket);
      held.push(socket);
    }
    await sleep(100);
    return held;
  };

  test("of one user that are all idle keep no further one out: the oldest makes room", async () => {
    await using open = await openDoor();
    const held = await all(open.door.paths.broker, () => undefined);
    await stillServes(open);
    await sleep(100);
    expect(held.map((socket) => socket.destroyed)).toEqual([true, ...held.slice(1).map(() => false)]);
    for (const socket of held) socket.destroy();
  });

  test("of one user end at the limit, and one that closes makes room", async () => {
    await using open = await openDoor();
    const halfOfACall = `POST ${status} HTTP/1.1\r\nhost: b\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n`;
    const held = await all(open.door.paths.broker, (socket) => socket.write(halfOfACall));
    expect(held.filter((socket) => socket.destroyed)).toEqual([]);
    await expect(post(open.door.paths.broker, status)).rejects.toThrow();
    expect(open.logged).toMatchObject([
      { level: "warn", message: "a connection was refused: this user holds as many as one may" },
    ]);
    expect((await post(open.door.paths.control, "/mayfly.v1.ControlService/GetStatus")).status).toBe(200);
    held.pop()?.destroy();
    await sleep(100);
    await stillServes(open);
    for (const socket of held) socket.destroy();
  });

  test("carry so many calls at once and no more", async () => {
    await using open = await openDoor();
    const connection = connectHttp2("http://localhost", { createConnection: () => connect(open.door.paths.broker) });
    await once(connection, "remoteSettings");
    expect(connection.remoteSettings).toMatchObject({
      maxConcurrentStreams: limits.streams,
      enablePush: false,
      maxHeaderListSize: limits.headerBytes,
    });
    connection.destroy();
  });
});

describe("a timeout that a caller states", () => {
  test.each([
    ["at the limit", limits.timeout, 200],
    ["one over", limits.timeout + 1, 400],
    ["a hundred times over", limits.timeout * 100, 400],
  ] as const)("%s", async (_, timeout, expected) => {
    await using open = await openDoor();
    const answer = await post(open.door.paths.control, "/mayfly.v1.ControlService/GetStatus", "{}", {
      "connect-timeout-ms": String(timeout),
      "connect-protocol-version": "1",
    });
    expect(answer.status).toBe(expected);
  });
});

describe("what is not HTTP", () => {
  test.each([
    [
      "both a length and chunks",
      `POST ${status} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    ],
    ["two different lengths", `POST ${status} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
    ["an unknown transfer encoding", `POST ${status} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n{}`],
    ["a folded header", `POST ${status} HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c: d\r\n\r\n`],
    ["no host", `POST ${status} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}`],
    ["no version", `GET ${status}\r\n\r\n`],
    ["noise", "\u0000\u0001\u0002\u0003 nothing of this is HTTP\r\n\r\n"],
    ["a preface that goes on differently", "PRI * HTTP/9.9\r\n\r\nXX\r\n\r\n"],
  ] as const)("%s is refused, and the connection closed", async (_, text) => {
    await using open = await openDoor({ clock: hurried(10) });
    const heard = await spoken(connect(open.door.paths.broker), text);
    expect(heard).not.toContain(" 200 ");
    await stillServes(open);
  });

  test("a stream that is reset again and again ends the connection, not the broker", async () => {
    await using open = await openDoor();
    const connection = connectHttp2("http://localhost", { createConnection: () => connect(open.door.paths.broker) });
    connection.on("error", () => undefined);
    for (let index = 0; index < 3_000 && !connection.destroyed; index += 1) {
      const stream = connection.request({ ":method": "POST", ":path": status });
      stream.on("error", () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
      if (index % 100 === 0) await sleep(1);
    }
    connection.destroy();
    await stillServes(open);
  });
});
