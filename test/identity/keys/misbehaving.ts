import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { constants, createGzip } from "node:zlib";
import type { Answer } from "../issuer.ts";

/*
 * What a real HTTP server does to whoever reads keys from it. Each is an answer for `startIssuer`, so that everything else about the
 * issuer is as it should be.
 */

const block = Buffer.alloc(64 * 1024, "a");

/** `count` bytes as fast as they are taken; `sent` hears how many left. */
export function flood(count: number, sent: (bytes: number) => void = () => undefined): Answer {
  return (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"keys":[],"padding":"');
    pour(response, count, sent);
  };
}

function pour(response: ServerResponse, left: number, sent: (bytes: number) => void): void {
  if (response.destroyed) return;
  if (left <= 0) return void response.end('"}');
  sent(block.length);
  const next = (): void => pour(response, left - block.length, sent);
  if (response.write(block)) setImmediate(next);
  else response.once("drain", next);
}

/** A set with `count` keys, each of them sound to look at. */
export function manyKeys(count: number, jwk: Readonly<Record<string, unknown>>): Answer {
  return (_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.write('{"keys":[');
    const write = (from: number): void => {
      if (response.destroyed) return;
      if (from >= count) return void response.end("]}");
      const keys = Array.from({ length: Math.min(500, count - from) }, (_unused, nth) => ({ ...jwk, kid: `k${from + nth}` }));
      const text = `${from === 0 ? "" : ","}${keys.map((key) => JSON.stringify(key)).join(",")}`;
      if (response.write(text)) setImmediate(write, from + 500);
      else response.once("drain", () => write(from + 500));
    };
    write(0);
  };
}

/** A few KiB that become 256 MiB. */
export const gzipBomb: Answer = (_, response) => {
  response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" });
  const gzip = createGzip({ level: constants.Z_BEST_COMPRESSION });
  gzip.pipe(response);
  response.once("close", () => gzip.destroy());
  pourInto(gzip, 4_096);
};

function pourInto(gzip: ReturnType<typeof createGzip>, blocks: number): void {
  if (gzip.destroyed) return;
  if (blocks === 0) return void gzip.end();
  if (gzip.write(block)) setImmediate(pourInto, gzip, blocks - 1);
  else gzip.once("drain", () => pourInto(gzip, blocks - 1));
}

/** Says how long the body is, and sends another one. */
export function falseLength(claimed: number, body: string): Answer {
  return onWire((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${claimed}\r\n\r\n${body}`);
    if (body.length < claimed) socket.end();
  });
}

/** A page for people, with status 200. */
export const html: Answer = (_, response) =>
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<html><body>Please sign in</body></html>");

export const down: Answer = (_, response) => response.writeHead(503).end();

export const silence: Answer = () => undefined;

export function redirect(status: number, location: string): Answer {
  return (_, response) => response.writeHead(status, { location }).end();
}

/** One byte every `pause`: of the body, after honest headers. */
export function drip(pause = 50): Answer {
  return (_, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": "100000" });
    every(pause, response, () => response.write("1"));
  };
}

/** One byte every `pause`: of a header that never ends. */
export function headerDrip(pause = 50): Answer {
  return onWire((socket) => {
    socket.write("HTTP/1.1 200 OK\r\nx-slow: ");
    every(pause, socket, () => socket.write("1"));
  });
}

/** One empty promise after the other, and no answer behind them. */
export function endlessInformation(pause = 50): Answer {
  return onWire((socket) => every(pause, socket, () => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n")));
}

/** The same as fast as it is taken; `sent` hears how many bytes left. */
export function floodOfInformation(head: string, sent: (bytes: number) => void = () => undefined): Answer {
  const many = Buffer.from(`${head}\r\n\r\n`.repeat(2_000));
  return onWire((socket) => pourOn(socket, many, sent));
}

/** A body of one byte after the other, each in a frame of its own: six times as long on the wire as what is read of it. */
export function tinyChunks(sent: (bytes: number) => void = () => undefined): Answer {
  const many = Buffer.from("1\r\n1\r\n".repeat(2_000));
  return onWire((socket) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    pourOn(socket, many, sent);
  });
}

function pourOn(socket: Socket, many: Buffer, sent: (bytes: number) => void): void {
  if (socket.destroyed) return;
  sent(many.length);
  const next = (): void => pourOn(socket, many, sent);
  if (socket.write(many)) setImmediate(next);
  else socket.once("drain", next);
}

function onWire(speak: (socket: Socket) => void): Answer {
  return (_, response) => {
    const { socket } = response;
    response.detachSocket(socket as Socket);
    socket?.on("error", () => undefined);
    if (socket !== null) speak(socket);
  };
}

function every(pause: number, stream: ServerResponse | Socket, write: () => void): void {
  const timer = setInterval(() => (stream.destroyed ? clearInterval(timer) : write()), pause);
  stream.on("error", () => clearInterval(timer)).on("close", () => clearInterval(timer));
}
