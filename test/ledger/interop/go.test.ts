import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { consistencyProof, Frontier, type Hash, leafHash } from "../../../src/ledger/merkle.ts";
import { loadLedger } from "../../../src/ledger/thread.ts";
import { newFolder, newKey, origin, read, SetClock } from "../fixture.ts";

/**
 * Go carries `sumdb/note` and `sumdb/tlog` in its own source tree, written by other people for the Go checksum database:
 * they read our checkpoints and proofs here. Nothing is downloaded.
 */
function sumdb(): string | undefined {
  const asked = spawnSync("go", ["env", "GOROOT"], { encoding: "utf8" });
  const root = asked.status === 0 ? asked.stdout.trim() : "";
  const [found] = root === "" ? [] : globSync("src/cmd/vendor/*/x/mod/sumdb", { cwd: root });
  return found === undefined ? undefined : join(root, found);
}

function build(sources: string): string {
  const folder = newFolder();
  for (const name of ["note", "tlog"]) {
    cpSync(join(sources, name), join(folder, "sumdb", name), { recursive: true });
  }
  writeFileSync(join(folder, "sumdb/go.mod"), "module vendored.example/sumdb\n\ngo 1.22\n");
  cpSync(new URL("main.go", import.meta.url).pathname, join(folder, "main.go"));
  const require = "require vendored.example/sumdb v0.0.0\nreplace vendored.example/sumdb => ./sumdb\n";
  writeFileSync(join(folder, "go.mod"), `module verifier\n\ngo 1.22\n\n${require}`);
  const env = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
  execFileSync("go", ["build", "-o", "verifier", "."], { cwd: folder, env, stdio: "pipe" });
  return join(folder, "verifier");
}

async function written() {
  const loaded = await loadLedger();
  await using ledger = await loaded.open({
    path: join(newFolder(), "ledger.db"),
    key: newKey(),
    origin,
    clock: new SetClock(),
  });
  const sizes = [37, 100];
  const checkpoints: string[] = [];
  for (const size of sizes) {
    const more = size - (await ledger.status()).size;
    await ledger.append(Array.from({ length: more }, (_, n) => read(`${size}/${n}`)));
    checkpoints.push(await ledger.checkpoint());
  }
  const tree = new Frontier();
  const nodes = new Map<string, Hash>();
  for (const leaf of await ledger.leaves(0, 100)) {
    tree.append(leafHash(leaf), (level, position, hash) => nodes.set(`${level}/${position}`, hash));
  }
  const proof = consistencyProof((level, position) => nodes.get(`${level}/${position}`) ?? Buffer.of(), 37, 100);
  return {
    Vkey: (await ledger.status()).verifierKey,
    Receipts: await Promise.all(Array.from({ length: 100 }, (_, index) => ledger.receipt(index))),
    Older: checkpoints[0] ?? "",
    Newer: checkpoints[1] ?? "",
    Proof: proof.map((hash) => Buffer.from(hash).toString("base64")),
  };
}

describe("Go's own note and tlog", () => {
  const root = sumdb();
  let verifier = "";
  let input: Awaited<ReturnType<typeof written>>;
  beforeAll(async () => {
    if (root === undefined) return;
    verifier = build(root);
    input = await written();
  }, 180_000);
  const judge = (change: Partial<typeof input> = {}) =>
    spawnSync(verifier, { input: JSON.stringify({ ...input, ...change }), encoding: "utf8" }).stdout.trim();

  test("verify a hundred receipts, and that the log only grew", ({ skip }) => {
    skip(root === undefined, "this host cannot run Go: its source tree has the independent verifier");
    expect(judge()).toBe("verified 100 receipts and one growth");
  });

  test("refuse what is not so", ({ skip }) => {
    skip(root === undefined, "this host cannot run Go: its source tree has the independent verifier");
    expect(judge({ Older: input.Older.replace("\n37\n", "\n36\n") })).toMatch(/^refused:/);
    expect(judge({ Proof: input.Proof.toReversed() })).toMatch(/^refused:/);
    expect(judge({ Receipts: [input.Receipts[5]?.replace("index 5", "index 6") ?? ""] })).toMatch(/^refused:/);
  });
});
