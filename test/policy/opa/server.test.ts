import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecure } from "node:https";
import { type AddressInfo, createServer as createTcp, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lastWordSchema } from "../../../src/policy/opa/config.ts";
import { type Opa, startOpa } from "../../servers/opa.ts";
import { opaMissing } from "../../servers/opa-binary.ts";
import { serverIdentity } from "../../servers/tls.ts";
import { grant, heard, wordOfServer } from "./bench.ts";

/* What a real OPA will not do: each of these servers does one thing that no answer may be taken from. */

const allow = JSON.stringify({ decision_id: "1f4b", result: { allow: true } });
const json = { "content-type": "application/json" };
const all = { aws: 600, db: 600 };

interface Listening extends AsyncDisposable {
  readonly port: number;
}

async function listening(server: Server): Promise<Listening> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  const sockets = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket: { destroy(): unknown }) => sockets.add(socket));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await close();
    },
  };
}

const faults: readonly (readonly [says: string, answers: RequestListener, detail: string])[] = [
  ["answers 500", (_, to) => to.writeHead(500, json).end(allow), "the server's answer has the status 500"],
  ["answers 404", (_, to) => to.writeHead(404, json).end(allow), "the server's answer has the status 404"],
  ["answers 401", (_, to) => to.writeHead(401, json).end(allow), "the server's answer has the status 401"],
  ["answers 204", (_, to) => to.writeHead(204).end(), "the server's answer has the status 204"],
  [
    "redirects to one that allows",
    (asked, to) => (asked.url === "/yes" ? to.writeHead(200, json).end(allow) : to.writeHead(307, { location: "/yes" }).end()),
    "the server's answer has the status 307",
  ],
  [
    "answers in HTML",
    (_, to) => to.writeHead(200, { "content-type": "text/html" }).end(allow),
    "the server's answer is no JSON",
  ],
  [
    "answers with half of a document",
    (_, to) => to.writeHead(200, json).end(allow.slice(0, -3)),
    "the server's answer is no JSON",
  ],
  ["answers with two documents", (_, to) => to.writeHead(200, json).end(allow + allow), "the server's answer is no JSON"],
  ["answers with nothing", (_, to) => to.writeHead(200, json).end(), "the server's answer is no JSON"],
  ["answers with a list", (_, to) => to.writeHead(200, json).end(`[${allow}]`), "the server's answer is not one of OPA"],
  ["has no result", (_, to) => to.writeHead(200, json).end(`{"decision_id":"1"}`), "no rule gave an answer: write a default"],
  [
    "has an id that no line could hold",
    (_, to) => to.writeHead(200, json).end(JSON.stringify({ decision_id: "a\nb", result: true })),
    "the server's answer is not one of OPA",
  ],
  [
    "never comes to an end",
    (_, to) => {
      const chunk = " ".repeat(16_384);
      const more = (): unknown => (to.destroyed ? undefined : to.write(chunk, () => setImmediate(more)));
      to.writeHead(200, json);
      more();
    },
    "the server's answer is longer than 65536 bytes",
  ],
  [
    "says that it is longer than anybody reads",
    (_, to) => to.writeHead(200, json).end(allow.padEnd(70_000)),
    "the server's answer is longer than 65536 bytes",
  ],
  [
    "ends in the middle",
    (_, to) => void to.writeHead(200, { ...json, "content-length": 500 }).write(allow, () => to.destroy()),
    "aborted",
  ],
  ["never answers", () => undefined, "the server did not answer within 300 ms"],
  [
    "begins and then waits",
    (_, to) => void to.writeHead(200, json).write(allow.slice(0, 10)),
    "the server did not answer within 300 ms",
  ],
  ["hangs up", (asked) => asked.socket.destroy(), "socket hang up"],
];

describe("a server that has no answer denies", () => {
  test.for(faults)("one that %s", async ([, answers, detail]) => {
    await using server = await listening(createServer(answers));
    const word = wordOfServer({ server: `http://127.0.0.1:${server.port}`, timeout: "300ms" });
    expect(await heard(word)).toBe(`last-word-unavailable: ${detail}`);
  });

  test.for<readonly [string, string, string]>([
    ["would speak another protocol", "101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade", "speak another protocol"],
    ["only ever says that there is more to come", "103 Early Hints\r\nlink: x", "did not answer within 300 ms"],
  ])("one that %s", async ([, says, detail]) => {
    await using server = await listening(createTcp((socket) => void socket.write(`HTTP/1.1 ${says}\r\n\r\n`)));
    expect(await heard(wordOfServer({ server: `http://127.0.0.1:${server.port}`, timeout: "300ms" }))).toContain(detail);
  });

  test("and one that answers as OPA does is heard, so the table's servers were reached", async () => {
    await using server = await listening(createServer((_, to) => void to.writeHead(200, json).end(allow)));
    expect(await heard(wordOfServer({ server: `http://127.0.0.1:${server.port}` }))).toEqual(all);
  });

  test("one that is not there", async () => {
    const { port } = await gone();
    expect(await heard(wordOfServer({ server: `http://127.0.0.1:${port}` }))).toContain("ECONNREFUSED");
    expect(await heard(wordOfServer({ server: "unix:///nonexistent/opa.sock" }))).toContain("ENOENT");
  });

  test("one that speaks no HTTP", async () => {
    await using server = await listening(createTcp((socket) => void socket.end("SSH-2.0-OpenSSH_9\r\n")));
    expect(await heard(wordOfServer({ server: `http://127.0.0.1:${server.port}` }))).toMatch(
      /^last-word-unavailable: Parse Error/,
    );
  });
});

async function gone(): Promise<{ readonly port: number }> {
  await using server = await listening(createTcp());
  return { port: server.port };
}

describe("what a server is asked", () => {
  test("is a POST of the documented input to the rule's own path", async () => {
    const seen: unknown[] = [];
    await using server = await listening(
      createServer((asked, to) => {
        asked.setEncoding("utf8");
        let body = "";
        asked.on("data", (chunk: string) => {
          body += chunk;
        });
        asked.on("end", () => {
          seen.push(asked.method, asked.url, asked.headers["authorization"], JSON.parse(body));
          to.writeHead(200, json).end(allow);
        });
      }),
    );
    const before = new Date().toISOString();
    await heard(wordOfServer({ server: `http://127.0.0.1:${server.port}/opa/`, decision: "site/ci/last_word" }));
    const [method, url, bearer, body] = seen;
    expect([method, url, bearer]).toEqual(["POST", "/opa/v1/data/site/ci/last_word", undefined]);
    expect(body).toEqual({
      input: {
        version: 1,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        identity: {
          issuer: "ci",
          subject: "repo:shop/web:ref:refs/heads/main",
          workload: "ci:519283746",
          job: "ci:519283746:1001",
          trust: "protected",
          claims: { ...grant.identity.claims },
        },
        template: "deploy/production",
        step: "ship",
        policy: grant.policy,
        credentials: [
          { name: "aws", provider: "aws-main", options: { path: "database/creds/aws" }, ttl: 600, optional: false },
          { name: "db", provider: "db-main", options: { path: "database/creds/db" }, ttl: 600, optional: true },
        ],
        network: [{ host: "db.example.com", port: 5432 }],
        command: ["npm", "run", "ship"],
        workspace: "read-only",
        isolation: { memory: 1, cpus: 2, pids: 3, timeout: 4, image: null, tolerate: {} },
        observe: null,
      },
    });
    const asked = (body as { readonly input: { readonly time: string } }).input.time;
    expect([before <= asked, asked <= new Date().toISOString()]).toEqual([true, true]);
  });
});

describe("a server's certificate", () => {
  test("must be of the authority that mayfly.yaml names", async () => {
    const [ours, other] = await Promise.all([serverIdentity(), serverIdentity()]);
    const secure = createSecure({ key: ours.key, cert: ours.cert }, (_, to) => void to.writeHead(200, json).end(allow));
    await using server = await listening(secure);
    const part = { server: `https://localhost:${server.port}` };
    expect(await heard(wordOfServer(part, ours.cert))).toEqual(all);
    expect(await heard(wordOfServer(part, other.cert))).toMatch(/^last-word-unavailable: .*(self-signed|unable to verify)/);
    expect(await heard(wordOfServer(part))).toMatch(/^last-word-unavailable: .*(self-signed|unable to verify)/);
  });
});

describe("a real OPA that asks for a token", () => {
  const missing = opaMissing();
  let folder: string;
  let opa: Opa;

  beforeAll(async () => {
    if (missing !== undefined) return;
    folder = mkdtempSync(join(tmpdir(), "mayfly-opa-"));
    opa = await startOpa("package mayfly\n\ndecision := true\n", {}, { token: "a-token-of-the-broker" });
  }, 30_000);

  afterAll(async () => {
    await opa?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  test("is shown what the file has now, and denies otherwise", async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const file = join(folder, "token");
    const word = wordOfServer({ server: opa.address, token_file: file });
    const states = [undefined, "an-old-token\n", "a-token-of-the-broker\n", "two\nlines", ""];
    const answers = [];
    for (const content of states) {
      if (content !== undefined) writeFileSync(file, content);
      answers.push(await heard(word));
    }
    expect(answers).toEqual([
      expect.stringMatching(/^last-word-unavailable: ENOENT/),
      "last-word-unavailable: the server's answer has the status 401",
      all,
      "last-word-unavailable: the token's file holds no bearer token",
      "last-word-unavailable: the token's file holds no bearer token",
    ]);
  });
});

describe("last_word in mayfly.yaml", () => {
  test.each([
    [{ bundle: "/etc/mayfly/last-word.tar.gz" }, { kind: "bundle", decision: "mayfly/decision" }],
    [{ server: "https://opa.example.com" }, { kind: "server", timeout: 1_000 }],
    [
      { server: "http://127.0.0.1:8181", timeout: "2s" },
      { kind: "server", timeout: 2_000 },
    ],
    [{ server: "http://[::1]:8181" }, { kind: "server" }],
    [{ server: "unix:///run/opa/opa.sock" }, { address: { kind: "unix", path: "/run/opa/opa.sock" } }],
  ])("%j loads", (part, config) => {
    expect(lastWordSchema.parse(part)).toMatchObject(config);
  });

  test.each([
    [{}, "", "write either 'bundle' or 'server'"],
    [{ bundle: "/a", server: "https://opa.example.com" }, "", "write either 'bundle' or 'server'"],
    [{ bundle: "last-word.tar.gz" }, "bundle", "write an absolute path"],
    [{ bundle: "/a", timeout: "1s" }, "timeout", "a bundle has none: it is for a server"],
    [{ bundle: "/a", token_file: "/b" }, "token_file", "a bundle has none: it is for a server"],
    [{ server: "http://opa.example.com" }, "server", "write an https URL, http on loopback, or unix:///run/opa/opa.sock"],
    [{ server: "http://127.0.0.1.example.com" }, "server", "write an https URL, http on loopback, or unix:///run/opa/opa.sock"],
    [
      { server: "https://user:word@opa.example.com" },
      "server",
      "write an https URL, http on loopback, or unix:///run/opa/opa.sock",
    ],
    [
      { server: "https://opa.example.com/?pretty" },
      "server",
      "write an https URL, http on loopback, or unix:///run/opa/opa.sock",
    ],
    [{ server: "unix://opa.sock" }, "server", "write an https URL, http on loopback, or unix:///run/opa/opa.sock"],
    [{ server: "opa.example.com" }, "server", "write an https URL, http on loopback, or unix:///run/opa/opa.sock"],
    [
      { server: "https://opa.example.com", decision: "/mayfly" },
      "decision",
      "write the rule's path with slashes, such as mayfly/decision",
    ],
    [
      { server: "https://opa.example.com", decision: "../v1/policies" },
      "decision",
      "write the rule's path with slashes, such as mayfly/decision",
    ],
    [{ server: "https://opa.example.com", timeout: "1m" }, "timeout", "a run waits for its decision: 10s at most"],
    [{ sever: "https://opa.example.com" }, "", 'Unrecognized key: "sever"'],
  ])("%j does not load", (part, path, message) => {
    const [issue] = lastWordSchema.safeParse(part).error?.issues ?? [];
    expect([issue?.path.join("."), issue?.message]).toEqual([path, message]);
  });
});
