import { readFileSync } from "node:fs";
import { Code as Status } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { exitOf, exits, outside } from "../../src/api/codes.ts";
import { AuditService } from "../../src/api/gen/mayfly/v1/audit_pb.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import { ControlService } from "../../src/api/gen/mayfly/v1/control_pb.ts";
import { LeaseState } from "../../src/api/gen/mayfly/v1/lease_pb.ts";
import { type Code, codes, isCode } from "../../src/errors.ts";
import { grpcClient, openDoor, post, refusal } from "./open-door.ts";

function run(token: string) {
  return (async function* () {
    yield {
      message: {
        case: "start" as const,
        value: { credentials: { case: "token" as const, value: token }, command: ["true"], workspace: "/" },
      },
    };
  })();
}

async function ended(answers: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of answers) continue;
}

describe("a failure", () => {
  test("crosses with its code, message, hint and id, and leaves its detail behind", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    for (const call of [client.call, grpcClient(BrokerService, open.door.paths.broker)]) {
      const refused = await refusal(ended(call.run(run("denied"))));
      expect(refused).toMatchObject({
        code: "claim-mismatch",
        message: "the claim ref is refs/heads/x",
        hint: "ask the owner of the template",
        id: "denial-1",
      });
      expect(JSON.stringify(refused)).not.toContain("expected main");
    }
    const fields = { call: "Run", code: "claim-mismatch", id: "denial-1", detail: "expected main", err: undefined };
    expect(open.logged[0]).toEqual({ level: "info", fields, message: "the claim ref is refs/heads/x" });
    expect(open.logged).toHaveLength(2);
  });

  test("that nobody foresaw is hidden from the caller and logged under the id that the caller is given", async () => {
    await using open = await openDoor();
    using client = openClient(BrokerService, open.door.paths.broker);
    const refused = await refusal(ended(client.call.run(run("crash"))));
    expect(refused).toMatchObject({
      code: "internal",
      message: codes.internal,
      id: expect.stringMatching(/^failure-[0-9a-f]{16}$/),
    });
    expect(String(refused.cause)).not.toContain("an inner text");
    expect(open.logged).toMatchObject([
      { level: "error", fields: { call: "Run", id: refused.id, err: { message: "an inner text with a secret in it" } } },
    ]);
  });

  test("of a unary call is the same in plain JSON", async () => {
    await using open = await openDoor();
    const answer = await post(open.door.paths.broker, "/mayfly.v1.BrokerService/StartSession", '{"token":"spent"}');
    expect(answer).toMatchObject({
      status: 401,
      body: {
        code: "unauthenticated",
        message: "the identity token has already opened a session",
        details: [{ type: "mayfly.v1.Failure", debug: { code: "token-spent" } }],
      },
    });
  });

  test("to reach a broker says what to do", async () => {
    using client = openClient(BrokerService, "/nonexistent/broker.sock");
    expect(await refusal(client.call.getStatus({}))).toMatchObject({
      code: "broker-unreachable",
      message: "no broker answers on /nonexistent/broker.sock (ENOENT)",
      hint: expect.stringContaining("is `mayfly serve` running?"),
    });
  });
});

describe("a change", () => {
  test("is handed on with who and why", async () => {
    await using open = await openDoor();
    using client = openClient(ControlService, open.door.paths.control);
    const asked = { who: "ann", why: "incident 7" };
    expect(await client.call.contain({ scope: "workload:x", closed: true, ...asked })).toMatchObject({
      fence: 7n,
      runsEnded: 1,
      leasesRevoked: 2,
    });
    expect(await client.call.revokeLease({ lease: "lease-1", ...asked })).toMatchObject({
      lease: { lease: "lease-1", state: 6 },
    });
    expect(await client.call.reload(asked)).toMatchObject({ policy: { templates: ["echo"] } });
    await client.call.drain(asked);
    expect(open.broker.changes).toMatchObject([asked, asked]);
    expect(open.asked).toEqual([
      { verb: "reload", ...asked },
      { verb: "drain", ...asked },
    ]);
  });

  const nameless: readonly (readonly [string, { who: string; why: string }, string])[] = [
    ["without who", { who: "", why: "x" }, "a change names who asks for it"],
    ["without why", { who: "ann", why: "  " }, "a change names why"],
    ["with a why of two lines", { who: "ann", why: "a\nb" }, "`why` is one line of at most 500 characters"],
    ["with a who that is too long", { who: "a".repeat(501), why: "x" }, "`who` is one line of at most 500 characters"],
  ];
  test.each(nameless)("%s is refused, whichever it is", async (_, asked, message) => {
    await using open = await openDoor();
    using client = openClient(ControlService, open.door.paths.control);
    const calls = [
      client.call.contain({ scope: "all", closed: true, ...asked }),
      client.call.revokeLease({ lease: "lease-1", ...asked }),
      client.call.reload(asked),
      client.call.drain(asked),
    ];
    for (const call of calls) expect(await refusal(call)).toMatchObject({ code: "usage", message });
    expect([open.broker.changes, open.asked]).toEqual([[], []]);
  });

  test("never shows a lease's handle", async () => {
    await using open = await openDoor();
    const answer = await post(
      open.door.paths.control,
      "/mayfly.v1.ControlService/RevokeLease",
      '{"lease":"lease-1","who":"a","why":"b"}',
    );
    expect(answer.status).toBe(200);
    expect(JSON.stringify(answer.body)).not.toContain("not for the wire");
  });
});

describe("a read", () => {
  test("is recorded before it is answered, with the reader's uid", async () => {
    await using open = await openDoor();
    using client = openClient(AuditService, open.door.paths.audit);
    const { entries } = await client.call.listEntries({ limit: 10 });
    expect(entries).toMatchObject([{ index: 0n, kind: "audit-read", event: { peer: process.getuid?.(), what: "entries" } }]);
  });

  const wrong: readonly (readonly [
    string,
    (client: ReturnType<typeof auditClient>) => Promise<unknown>,
    Partial<Record<"code" | "message", string>>,
  ])[] = [
    ["of an entry that is not there", (client) => client.getEntry({ index: 99n }), { code: "entry-unknown" }],
    ["of an index beyond all numbers", (client) => client.getEntry({ index: 2n ** 64n - 1n }), { code: "entry-unknown" }],
    [
      "of a kind that is none",
      (client) => client.listEntries({ kinds: ["nope"] }),
      { code: "usage", message: "an entry has no such kind" },
    ],
    [
      "of too long a page",
      (client) => client.listEntries({ limit: 1_001 }),
      { code: "usage", message: "one answer has at most 1000 items" },
    ],
    ["of leases in a state that is none", (client) => client.listLeases({ state: LeaseState.UNSPECIFIED }), { code: "usage" }],
    ["of live leases in a state", (client) => client.listLeases({ state: LeaseState.ISSUED, live: true }), { code: "usage" }],
    [
      "of a denial that is none",
      (client) => client.explainDenial({ denial: "den-x" }),
      { code: "entry-unknown", message: "the ledger has no denial or observation of this id" },
    ],
    ["of a denial without an id", (client) => client.explainDenial({}), { code: "entry-unknown" }],
    ["of a policy that never was", (client) => client.getPolicy({ digest: "00" }), { code: "entry-unknown" }],
  ];
  test.each(wrong)("%s is refused", async (_, read, expected) => {
    await using open = await openDoor();
    using client = openClient(AuditService, open.door.paths.audit);
    expect(await refusal(read(client.call))).toMatchObject(expected);
  });

  test("of a denial gives its trace, expected values included", async () => {
    await using open = await openDoor();
    const trace = [
      {
        template: "deploy",
        matched: false,
        lines: [{ line: "ref", held: false, expected: "refs/heads/main", found: "refs/heads/x" }],
      },
    ];
    await open.ledger.append([
      {
        kind: "denied",
        denial: "den-7",
        code: "claim-mismatch",
        message: "m",
        peer: { uid: 1, pid: 7, cgroup: null },
        issuer: "github",
        subject: "repo:shop",
        workload: "github:1",
        job: "github:1:1",
        trust: "branch",
        claims: { ref: "refs/heads/x" },
        policy: "ab",
        trace,
        asked: "deploy",
        step: null,
        lastWord: null,
      },
    ]);
    using client = openClient(AuditService, open.door.paths.audit);
    expect(await client.call.explainDenial({ denial: "den-7" })).toMatchObject({ templates: trace });
  });

  test("of the leaves gives each byte for byte, in pages, from anywhere", async () => {
    await using open = await openDoor();
    for (let index = 0; index < 600; index += 1)
      void open.ledger.append([{ kind: "policy", policy: `p${index}`, templates: [], by: "start", lastWord: null }]);
    await open.ledger.append([{ kind: "policy", policy: "last", templates: [], by: "start", lastWord: null }]);
    using client = openClient(AuditService, open.door.paths.audit);
    const got: Buffer[] = [];
    for await (const { from, leaves } of client.call.streamLeaves({ from: 5n, count: 590n })) {
      expect(Number(from)).toBe(5 + got.length);
      got.push(...leaves.map((leaf) => Buffer.from(leaf)));
    }
    expect(got).toEqual((await open.ledger.leaves(5, 590)).map((leaf) => Buffer.from(leaf)));
  });
});

function auditClient() {
  return openClient(AuditService, "").call;
}

describe("the table of codes", () => {
  test("gives every code an exit code between 120 and 127, and has no other", () => {
    const all = Object.keys(codes).filter(isCode);
    expect(Object.keys(outside).sort()).toEqual([...all].sort());
    for (const code of all) expect(exitOf(code)).toBeGreaterThanOrEqual(120);
    expect(Math.max(...all.map(exitOf))).toBeLessThanOrEqual(127);
    expect(new Set(Object.values(exits)).size).toBe(8);
  });

  test("is the table in the room's README", () => {
    const rows = readFileSync("src/api/README.md", "utf8")
      .split("\n")
      .filter((line) => /^\| 12\d \|/.test(line));
    const written = rows.flatMap((row) => {
      const [, exit = "", , groups = ""] = row.split("|").map((cell) => cell.trim());
      return groups.split("; ").flatMap((group) => {
        const [, status, list = ""] = /^`(\w+)`: (.*)$/.exec(group) ?? [];
        return list.split(", ").map((code) => `${code} ${status} ${exit}`);
      });
    });
    const status = (code: Code) =>
      (Status[outside[code].status] ?? "").replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
    expect(written.sort()).toEqual(
      Object.keys(codes)
        .filter(isCode)
        .map((code) => `${code} ${status(code)} ${exitOf(code)}`)
        .sort(),
    );
  });

  test.each([
    ["claim-mismatch", 120],
    ["provider-unavailable", 121],
    ["workspace-outside", 122],
    ["timeout", 123],
    ["config-invalid", 124],
    ["busy", 125],
    ["ledger-unavailable", 126],
    ["broker-unreachable", 126],
    ["command-not-found", 127],
  ] as const satisfies readonly (readonly [Code, number])[])("%s exits with %i", (code, exit) => {
    expect(exitOf(code)).toBe(exit);
  });
});
