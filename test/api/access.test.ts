import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Allowed, isAllowed } from "../../src/api/access.ts";
import type { Entry } from "../../src/ledger/entry.ts";
import { type OpenDoor, openDoor, post, socketsOf } from "./open-door.ts";

const peer = { uid: 1000, gid: 100, pid: 7, cgroup: undefined };

describe("who is allowed", () => {
  const cases: readonly (readonly [string, Allowed | undefined, readonly number[], boolean])[] = [
    ["everybody, where nobody is named", undefined, [], true],
    ["a user that is named", { uids: [7, 1000], groups: [] }, [], true],
    ["nobody else", { uids: [7], groups: [] }, [], false],
    ["a member of a group that is named", { uids: [], groups: [100] }, [], true],
    ["a member by a supplementary group", { uids: [], groups: [7] }, [5, 7], true],
    ["no member of another", { uids: [], groups: [7] }, [5, 6], false],
    ["a user that is named, whatever its groups", { uids: [1000], groups: [7] }, [], true],
    ["nobody by a uid that is a group's number", { uids: [], groups: [1000] }, [], false],
  ];
  test.each(cases)("%s", (_, allow, groups, expected) => {
    expect(isAllowed(allow, peer, () => groups)).toBe(expected);
  });

  test("root is not, unless it is named", () => {
    const root = { ...peer, uid: 0, gid: 0 };
    expect(isAllowed({ uids: [1000], groups: [100] }, root, () => [0])).toBe(false);
    expect(isAllowed({ uids: [0], groups: [] }, root, () => [])).toBe(true);
  });

  test("supplementary groups are not asked for where no group is named", () => {
    const never = (): never => {
      throw new Error("asked");
    };
    expect(isAllowed({ uids: [7], groups: [] }, peer, never)).toBe(false);
  });
});

describe.skipIf(process.getuid?.() !== 0)("a socket for some users", () => {
  let folder: string;
  let open: OpenDoor;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mayfly-access-"));
    await chmod(folder, 0o755);
    const sockets = socketsOf(join(folder, "run"), [61_000, 61_000, 61_000], 61_000);
    const broker = { group: 61_000, allow: { uids: [61_042], groups: [61_077] } };
    open = await openDoor({ sockets: { ...sockets, broker } });
  });

  afterAll(async () => {
    await open?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  /** `GetStatus`, as that user with these groups; all of them may open the socket's file. */
  async function status(uid: number, groups: string, version: string): Promise<Readonly<Record<string, unknown>>> {
    const url = "http://localhost/mayfly.v1.BrokerService/GetStatus";
    const curl = [
      "curl",
      "-s",
      version,
      "--unix-socket",
      open.door.paths.broker,
      "-H",
      "content-type: application/json",
      "-d",
      "{}",
      url,
    ];
    const as = [`--reuid=${uid}`, "--regid=61000", groups === "" ? "--clear-groups" : `--groups=${groups}`];
    return JSON.parse((await promisify(execFile)("setpriv", [...as, ...curl])).stdout) as Readonly<Record<string, unknown>>;
  }

  async function newest(): Promise<Entry["event"] | undefined> {
    return (await open.ledger.entries({ limit: 1, newestFirst: true, kinds: ["denied"] }))[0]?.event;
  }

  test.each([
    ["--http1.1", 61_042, ""],
    ["--http2-prior-knowledge", 61_042, ""],
    ["--http1.1", 61_050, "61001,61077"],
    ["--http2-prior-knowledge", 61_050, "61077"],
  ] as const)("is open by %s to the user %i with the groups '%s'", async (version, uid, groups) => {
    expect(await status(uid, groups, version)).toMatchObject({ version: "0.1.0" });
  });

  test.each([
    ["--http1.1", 61_050, ""],
    ["--http2-prior-knowledge", 61_050, "61001,61002"],
    ["--http1.1", 0, ""],
  ] as const)("tells by %s the user %i with the groups '%s' that it is not, on record", async (version, uid, groups) => {
    const answer = await status(uid, groups, version);
    const message = `broker.sock is not for the user ${uid}`;
    expect(answer).toMatchObject({ code: "permission_denied", message });
    const failure = (answer["details"] as readonly { readonly debug: Readonly<Record<string, string>> }[])[0]?.debug;
    expect(failure).toMatchObject({
      code: "peer-not-allowed",
      hint: expect.stringContaining("`sockets.broker` in mayfly.yaml"),
    });
    const event = await newest();
    expect(event).toMatchObject({ code: "peer-not-allowed", message, denial: failure?.["id"], peer: { uid } });
    expect(open.logged.at(-1)).toMatchObject({
      level: "info",
      fields: { call: "GetStatus", code: "peer-not-allowed" },
      message,
    });
  });

  test("leaves the other sockets as they are", async () => {
    expect(await post(open.door.paths.control, "/mayfly.v1.ControlService/GetStatus")).toMatchObject({ status: 200 });
  });
});
