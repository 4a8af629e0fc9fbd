import { execFileSync } from "node:child_process";
import { chown, cp, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newFolder } from "./fixture.ts";

const nobody = 64_123;
const repository = new URL("../../", import.meta.url).pathname;

/** What `mayfly serve` does: load as root, become another user, and only then open. */
const script = `
import { loadLedger } from "./src/ledger/thread.ts";
import { loadOrCreateSigningKey } from "./src/ledger/keys.ts";
import { systemClock } from "./src/time.ts";
const loaded = await loadLedger();
process.setgroups([]);
process.setgid(${nobody});
process.setuid(${nobody});
const folder = process.argv[2];
const key = await loadOrCreateSigningKey(folder + "/ledger.key");
const ledger = await loaded.open({ path: folder + "/ledger.db", key, origin: "ledger.test/a", clock: systemClock });
await ledger.append([{ kind: "audit-read", peer: 0, what: "all" }]);
await ledger.receipt(0);
console.log((await ledger.status()).size, (await ledger.entries({ limit: 1 })).length);
await ledger.append([{ kind: "expired", lease: "none" }]).catch((error) => console.log(error.code));
await ledger[Symbol.asyncDispose]();
`;

test("a ledger is opened by a user who cannot read the clone it was loaded from", async ({ skip }) => {
  skip(process.geteuid?.() !== 0, "this host cannot run setuid: root is needed to become another user");
  const clone = newFolder();
  await cp(join(repository, "src"), join(clone, "src"), { recursive: true });
  await symlink(join(repository, "node_modules"), join(clone, "node_modules"));
  await writeFile(join(clone, "package.json"), '{"type":"module"}');
  await writeFile(join(clone, "serve.ts"), script);
  expect((await stat(clone)).mode & 0o777).toBe(0o700);
  const state = newFolder();
  await chown(state, nobody, nobody);
  const told = execFileSync(process.execPath, ["serve.ts", state], { cwd: clone, encoding: "utf8" });
  expect(told.split("\n")).toEqual(["1 1", "lease-unknown", ""]);
  expect((await stat(join(state, "ledger.db"))).uid).toBe(nobody);
});
