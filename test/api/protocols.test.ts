import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { grpcClient, openDoor, post } from "./open-door.ts";

const status = "/mayfly.v1.BrokerService/GetStatus";
const audiences = [{ issuer: "github", preset: "github", audience: "https://broker.example" }];
const expected = { version: "0.1.0", draining: false, running: 0, capacity: 4, audiences };

describe("one socket", () => {
  test("speaks HTTP/1.1 with JSON, HTTP/2 with Connect, and gRPC", async () => {
    await using open = await openDoor();
    const path = open.door.paths.broker;
    expect(await post(path, status)).toEqual({ status: 200, body: expected });
    using client = openClient(BrokerService, path);
    expect(await client.call.getStatus({})).toMatchObject(expected);
    expect(await grpcClient(BrokerService, path).getStatus({})).toMatchObject(expected);
  });

  test.each(["--http1.1", "--http2-prior-knowledge"])("answers curl %s", async (version) => {
    await using open = await openDoor();
    const args = [
      "-s",
      version,
      "--unix-socket",
      open.door.paths.broker,
      "-H",
      "content-type: application/json",
      "-d",
      "{}",
      `http://localhost${status}`,
    ];
    const { stdout } = await promisify(execFile)("curl", args);
    expect(JSON.parse(stdout)).toEqual(expected);
  });

  test("tells the protocols apart however the first bytes are cut", async () => {
    await using open = await openDoor();
    const request = `POST ${status} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`;
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0";
    for (const cut of [1, 2, 3, 4, 5, 23, 24, 30]) {
      const one = await heard(open.door.paths.broker, request, cut, (bytes) => bytes.length > 20);
      expect(one.toString(), `HTTP/1.1 cut at ${cut}`).toContain("HTTP/1.1 200 OK");
      const two = await heard(open.door.paths.broker, preface, cut, (bytes) => bytes.length > 3);
      // A SETTINGS frame: type 4 in the fourth byte (RFC 9113 section 4.1).
      expect(two[3], `HTTP/2 cut at ${cut}`).toBe(4);
    }
  });

  test("serves one request after the other on one HTTP/1.1 connection, each with its own answer", async () => {
    await using open = await openDoor();
    const call = (body: string) =>
      `POST /mayfly.v1.BrokerService/EndSession HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const bodies = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? '{"handle":"handle-1"}' : '{"handle":"wrong"}'));
    const answer = await heard(
      open.door.paths.broker,
      bodies.map(call).join(""),
      7,
      (bytes) => statuses(bytes).length === bodies.length,
    );
    expect(statuses(answer)).toEqual(bodies.map((body) => (body.includes("handle-1") ? "200" : "401")));
  });

  test("does not offer a run over HTTP/1.1, and says so", async () => {
    await using open = await openDoor();
    const answer = await post(open.door.paths.broker, "/mayfly.v1.BrokerService/Run", "", {
      "content-type": "application/connect+json",
    }).catch(() => undefined);
    expect(answer?.status).toBe(505);
  });
});

function statuses(answers: Buffer): readonly (string | undefined)[] {
  return [...answers.toString().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, code]) => code);
}

/** Says the text in two pieces, and listens until it has heard enough or the connection closes. */
async function heard(path: string, text: string, cut: number, enough: (bytes: Buffer) => boolean): Promise<Buffer> {
  const socket = connect(path);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(Buffer.from(text.slice(0, cut), "latin1"));
  await sleep(20);
  socket.write(Buffer.from(text.slice(cut), "latin1"));
  for (let tries = 0; tries < 500 && !socket.destroyed && !enough(Buffer.concat(chunks)); tries += 1) await sleep(10);
  socket.destroy();
  return Buffer.concat(chunks);
}
