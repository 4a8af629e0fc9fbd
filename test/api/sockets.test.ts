import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openClient } from "../../src/api/client.ts";
import { BrokerService } from "../../src/api/gen/mayfly/v1/broker_pb.ts";
import type { DoorParts } from "../../src/api/server.ts";
import type { BrokerError } from "../../src/errors.ts";
import { type OpenDoor, openDoor, ownSockets, socketsOf } from "./open-door.ts";

const asRoot = process.getuid?.() === 0;
const mode = async (path: string) => ((await lstat(path)).mode & 0o7777).toString(8);

/** Why the door did not open. */
async function shut(sockets: DoorParts["sockets"]): Promise<BrokerError | OpenDoor> {
  return openDoor({ sockets }).catch((error: BrokerError) => error);
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-sock-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the sockets", () => {
  test("are 0660 in a folder of 0750, with nothing else in it, and gone when the door closes", async () => {
    await using open = await openDoor();
    const folder = join(open.folder, "run");
    expect(await mode(folder)).toBe("750");
    expect((await readdir(folder)).sort()).toEqual(["audit.sock", "broker.sock", "control.sock"]);
    for (const path of Object.values(open.door.paths)) expect(await mode(path)).toBe("660");
    await open.door.close(0);
    expect(await readdir(folder)).toEqual([]);
  });

  test.skipIf(!asRoot)("each belong to a group of their own, by number or by name", async () => {
    await inFolder(async (folder) => {
      const run = join(folder, "run");
      await using open = await openDoor({
        sockets: socketsOf(run, [61_001, "daemon", 61_003], 61_000),
      });
      const groups = await Promise.all([run, ...Object.values(open.door.paths)].map(async (path) => (await lstat(path)).gid));
      expect(groups).toEqual([61_000, 61_001, 1, 61_003]);
    });
  });

  test("of a living broker are refused, and it lives on", async () => {
    await using first = await openDoor();
    const second = await shut(ownSockets(join(first.folder, "run")));
    expect(second).toMatchObject({
      code: "socket-in-use",
      message: `another broker already listens on ${first.door.paths.broker}`,
    });
    using client = openClient(BrokerService, first.door.paths.broker);
    expect(await client.call.getStatus({})).toMatchObject({ version: "0.1.0" });
  });

  test("that a dead broker left behind are replaced", async () => {
    await inFolder(async (folder) => {
      const run = join(folder, "run");
      await mkdir(run, { mode: 0o750 });
      const killed = spawn(process.execPath, [
        "-e",
        `require("net").createServer().listen(${JSON.stringify(join(run, "broker.sock"))}, () => process.kill(process.pid, "SIGKILL"))`,
      ]);
      await once(killed, "exit");
      expect((await lstat(join(run, "broker.sock"))).isSocket()).toBe(true);
      await using open = await openDoor({ sockets: ownSockets(run) });
      using client = openClient(BrokerService, open.door.paths.broker);
      expect(await client.call.getStatus({})).toMatchObject({ version: "0.1.0" });
    });
  });

  test("of a successor are left alone by the one that closes later", async () => {
    await using first = await openDoor();
    const path = first.door.paths.audit;
    await rm(path);
    const other = createServer().listen(path);
    await once(other, "listening");
    await first.door.close(0);
    expect((await lstat(path)).isSocket()).toBe(true);
    other.close();
  });

  const inTheWay: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ["a file", (path) => writeFile(path, "keep me")],
    ["a folder", (path) => mkdir(path).then(() => undefined)],
    ["a symbolic link", (path) => symlink("/etc/passwd", path)],
  ];
  test.each(inTheWay)("are not put in the place of %s", async (_, put) => {
    await inFolder(async (folder) => {
      await put(join(folder, "broker.sock"));
      await chmod(folder, 0o750);
      const before = await lstat(join(folder, "broker.sock"));
      expect(await shut(ownSockets(folder))).toMatchObject({
        code: "environment-unfit",
        message: `${join(folder, "broker.sock")} is in the way: it is not a socket`,
      });
      expect((await lstat(join(folder, "broker.sock"))).ino).toBe(before.ino);
    });
  });

  test("leave none open when the third cannot be", async () => {
    await inFolder(async (folder) => {
      await writeFile(join(folder, "control.sock"), "");
      expect(await shut(ownSockets(folder))).toMatchObject({ code: "environment-unfit" });
      expect(await readdir(folder)).toEqual(["control.sock"]);
    });
  });

  test("are not put into a folder that others may write to, that is a link, or that another user owns", async () => {
    await inFolder(async (folder) => {
      await chmod(folder, 0o777);
      expect(await shut(ownSockets(folder))).toMatchObject({
        code: "environment-unfit",
        message: `others may write to ${folder}`,
      });
      await chmod(folder, 0o750);
      const link = `${folder}-link`;
      await symlink(folder, link);
      expect(await shut(ownSockets(link))).toMatchObject({ code: "environment-unfit", message: `${link} is not a folder` });
      await rm(link);
    });
  });

  test("whose path the kernel would cut short are refused", async () => {
    await inFolder(async (folder) => {
      const deep = join(folder, "d".repeat(80));
      expect(await shut(ownSockets(deep))).toMatchObject({
        code: "environment-unfit",
        message: `the path of the socket is too long, ${join(deep, "broker.sock")}`,
      });
      const fits = join(folder, "d".repeat(107 - Buffer.byteLength(folder) - "//.control.sock.abcdef".length));
      await using open = await openDoor({ sockets: ownSockets(fits) });
      expect(await lstat(open.door.paths.control).then((found) => found.isSocket())).toBe(true);
    });
  });

  test("of a group that does not exist are refused by name", async () => {
    await inFolder(async (folder) => {
      const sockets = { ...ownSockets(join(folder, "run")), audit: { group: "no-such-group" } };
      expect(await shut(sockets)).toMatchObject({
        code: "config-invalid",
        message: "there is no group named no-such-group in /etc/group",
      });
    });
  });
});

describe("who calls", () => {
  test.skipIf(!asRoot)("is what the kernel says, over HTTP/1.1 and HTTP/2, whatever the caller claims", async () => {
    await inFolder(async (folder) => {
      await chmod(folder, 0o755);
      await using open = await openDoor({
        sockets: socketsOf(join(folder, "run"), [61_000, 61_000, 61_000], 61_000),
      });
      const body = JSON.stringify({ limit: 1 });
      const curl = [
        "curl",
        "-s",
        "--unix-socket",
        open.door.paths.audit,
        "-H",
        "content-type: application/json",
        "-H",
        "x-uid: 0",
        "-d",
        body,
        "http://localhost/mayfly.v1.AuditService/ListEntries",
      ];
      for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
        const child = spawn("setpriv", ["--reuid", "61042", "--regid", "61000", "--clear-groups", ...curl, version]);
        const [code] = await once(child, "exit");
        expect(code, version).toBe(0);
      }
      const reads = (await open.ledger.entries({ limit: 10, kinds: ["audit-read"] })).map(({ event }) =>
        event.kind === "audit-read" ? event.peer : -1,
      );
      expect(reads).toEqual([61_042, 61_042]);
    });
  });

  test.skipIf(!asRoot)("must be in the socket's group", async () => {
    await inFolder(async (folder) => {
      await chmod(folder, 0o755);
      await using open = await openDoor({
        sockets: socketsOf(join(folder, "run"), [61_001, 61_000, 61_000], 61_000),
      });
      const tries = async (path: string): Promise<unknown> => {
        const curl = ["curl", "-s", "--unix-socket", path, "http://localhost/"];
        const [code] = await once(
          spawn("setpriv", ["--reuid", "61042", "--regid", "61000", "--clear-groups", ...curl]),
          "exit",
        );
        return code;
      };
      expect(await tries(open.door.paths.audit)).toBe(0);
      // curl's code for a connection that could not be made.
      expect(await tries(open.door.paths.broker)).toBe(7);
    });
  });

  test("is known for each of many connections at once", async () => {
    await using open = await openDoor();
    const clients = Array.from({ length: 20 }, () => openClient(BrokerService, open.door.paths.broker));
    await Promise.all(clients.map(({ call }) => call.startSession({ token: "t" })));
    for (const client of clients) client[Symbol.dispose]();
  });

  test("and only connects leaves nothing open", async () => {
    await using open = await openDoor();
    for (let tries = 0; tries < 300; tries += 1) {
      const socket = connect(open.door.paths.broker);
      await once(socket, "connect");
      socket.destroy();
    }
    using client = openClient(BrokerService, open.door.paths.broker);
    expect(await client.call.getStatus({})).toMatchObject({ version: "0.1.0" });
    expect(open.logged).toEqual([]);
  });
});
