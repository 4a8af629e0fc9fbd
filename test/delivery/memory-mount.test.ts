import {
  closeSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryMount } from "../../src/delivery/memory-mount.ts";
import { Secret } from "../../src/secret.ts";

/** As root, another user's files; else one's own. */
const reader =
  process.getuid?.() === 0 ? { uid: 77_000, gid: 77_000 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe("a memory mount", () => {
  let folder: string;
  let mount: MemoryMount;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mayfly-mount-"));
    mount = new MemoryMount(`${folder}/credentials`, reader);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const at = (path: string) => `${folder}/credentials/${path}`;
  const deliver = (name: string, value: string) => mount.deliver([{ credential: "db", name, content: Secret.of(value) }]);

  it("writes files that only their reader can open, in folders that only their reader can enter", () => {
    deliver("password", "first");
    expect(readFileSync(at("db/password"), "utf8")).toBe("first");
    expect([statSync(at("db/password")).mode & 0o777, statSync(at("db/password")).uid]).toEqual([0o400, reader.uid]);
    for (const path of ["", "db", "db/..data/"])
      expect([statSync(at(path)).mode & 0o777, statSync(at(path)).uid]).toEqual([0o500, reader.uid]);
  });

  it("swaps a credential's files as one", () => {
    mount.deliver([
      { credential: "db", name: "user", content: "a" },
      { credential: "db", name: "password", content: Secret.of("1") },
    ]);
    mount.deliver([
      { credential: "db", name: "user", content: "b" },
      { credential: "db", name: "password", content: Secret.of("2") },
    ]);
    expect([readlinkSync(at("db/..data")), readlinkSync(at("db/user"))]).toEqual(["..2", "..data/user"]);
    expect([readFileSync(at("db/user"), "utf8"), readFileSync(at("db/password"), "utf8")]).toEqual(["b", "2"]);
  });

  it("keeps the generation before for whoever reads it still, and wipes the one before that", () => {
    deliver("password", "gone");
    const held = openSync(at("db/password"), "r");
    deliver("password", "kept");
    expect(existsSync(at("db/..1/password"))).toBe(true);
    deliver("password", "here");
    expect(existsSync(at("db/..1"))).toBe(false);
    expect(readFileSync(at("db/..2/password"), "utf8")).toBe("kept");
    const bytes = Buffer.alloc(4, 1);
    readSync(held, bytes, 0, 4, 0);
    closeSync(held);
    expect(bytes).toEqual(Buffer.alloc(4));
  });

  it("drops the name of a file that a new generation lacks", () => {
    deliver("old", "x");
    deliver("new", "y");
    expect(existsSync(at("db/old"))).toBe(false);
    expect(lstatSync(at("db/new")).isSymbolicLink()).toBe(true);
  });

  it("leaves zeros to whoever holds a file open when it is wiped, and nothing to others", () => {
    deliver("password", "secret-value");
    const held = openSync(at("db/password"), "r");
    mount.wipe();
    const bytes = Buffer.alloc(12, 1);
    readSync(held, bytes, 0, 12, 0);
    closeSync(held);
    expect(bytes).toEqual(Buffer.alloc(12));
    expect(existsSync(at(""))).toBe(false);
    mount.wipe();
  });
});
