import { describe, expect, test } from "vitest";
import { signCheckpoint } from "../../src/ledger/checkpoint.ts";
import type { Entry } from "../../src/ledger/entry.ts";
import { leafOf } from "../../src/ledger/leaf.ts";
import { Frontier, type Hash, inclusionProof, leafHash } from "../../src/ledger/merkle.ts";
import { noteSigner, verifierKey } from "../../src/ledger/note.ts";
import { verifyReceipt, writeReceipt } from "../../src/ledger/receipt.ts";
import { newKey, noon, read, runEnded } from "./fixture.ts";

const signer = noteSigner("ledger.test/a", newKey());
const vkey = verifierKey(signer);
const entries = Array.from(
  { length: 11 },
  (_, index): Entry => ({ v: 1, index, time: noon + index, event: index === 6 ? runEnded("run-6") : read(`${index}`) }),
);
const leaves = entries.map(leafOf);

function receiptOf(leaf: Uint8Array, index: number, all: readonly Uint8Array[] = leaves): string {
  const nodes = new Map<string, Hash>();
  const tree = new Frontier();
  for (const each of all) tree.append(leafHash(each), (level, position, hash) => nodes.set(`${level}/${position}`, hash));
  const proof = inclusionProof((level, position) => nodes.get(`${level}/${position}`) ?? Buffer.of(), index, all.length);
  return writeReceipt({ leaf, index, proof, checkpoint: signCheckpoint({ size: all.length, root: tree.root() }, signer) });
}

function verifies(receipt: string): boolean {
  try {
    return verifyReceipt(receipt, vkey).size > 0;
  } catch {
    return false;
  }
}

const good = receiptOf(leaves[6] ?? Buffer.of(), 6);
const [, extra = "", , firstHash = ""] = good.split("\n");

test.each(entries.map((entry) => [entry.index, entry] as const))(
  "the receipt of entry %i verifies offline and says what was recorded",
  (index, entry) => {
    expect(verifyReceipt(receiptOf(leaves[index] ?? Buffer.of(), index), vkey)).toEqual({
      entry,
      origin: "ledger.test/a",
      size: 11,
    });
  },
);

test("a receipt has the lines of c2sp.org/tlog-proof@v1", () => {
  const lines = good.split("\n");
  expect(lines.slice(0, 3)).toEqual(["c2sp.org/tlog-proof@v1", `extra ${leaves[6]?.toString("base64")}`, "index 6"]);
  expect(lines.slice(3, 7).map((line) => Buffer.from(line, "base64").length)).toEqual([32, 32, 32, 32]);
  expect(lines.slice(7, 10)).toEqual(["", "ledger.test/a", "11"]);
});

const other = leaves[5]?.toString("base64") ?? "";
const loose = Buffer.from(JSON.stringify(entries[6]));
const misplaced = leafOf({ v: 1, index: 7, time: noon, event: read("7") });
describe("a receipt does not verify", () => {
  test.each<[string, string, string]>([
    ["for another entry", good.replace(extra, `extra ${other}`), "not in the log"],
    ["at another index", good.replace("index 6", "index 7"), "not in the log"],
    ["at an index beyond the log", good.replace("index 6", "index 11"), "not in the log"],
    ["without its first hash", good.replace(`${firstHash}\n`, ""), "not in the log"],
    ["with a hash twice", good.replace(firstHash, `${firstHash}\n${firstHash}`), "not in the log"],
    ["with a changed hash", good.replace(firstHash, `${Buffer.alloc(32).toString("base64")}`), "not in the log"],
    ["with a short hash", good.replace(firstHash, "AAAA"), "proof is malformed"],
    [
      "with more hashes than any tree is high",
      good.replace(firstHash, `${firstHash}\n`.repeat(54).trim()),
      "proof is too long",
    ],
    ["with a changed root", good.replace(/\n11\n.{8}/, "\n11\nAAAAAAAA"), "signature does not verify"],
    ["with a changed size", good.replace("\n11\n", "\n12\n"), "signature does not verify"],
    ["with a changed origin", good.replace("\nledger.test/a\n", "\nledger.test/b\n"), "signature does not verify"],
    ["without its entry", good.replace(`${extra}\n`, ""), "holds no entry"],
    ["with another spelling of its entry's base64", good.replace(extra, `${extra}=`), "holds no entry"],
    ["with a leading zero in its index", good.replace("index 6", "index 06"), "index is malformed"],
    ["with a signed index", good.replace("index 6", "index +6"), "index is malformed"],
    ["without an index", good.replace("index 6\n", ""), "index is malformed"],
    ["of another version", good.replace("@v1", "@v2"), "not a c2sp.org/tlog-proof@v1"],
    ["with carriage returns", good.replaceAll("\n", "\r\n"), "no checkpoint"],
    ["without its checkpoint", good.slice(0, good.indexOf("\n\n")), "no checkpoint"],
    ["when it is empty", "", "no checkpoint"],
    ["for a leaf that is not canonical", receiptOf(loose, 6, leaves.with(6, loose)), "not in canonical form"],
    ["for a leaf that is no entry", receiptOf(Buffer.from("{}"), 6, leaves.with(6, Buffer.from("{}"))), "not an entry"],
    ["for a leaf that is not JSON", receiptOf(Buffer.of(0xff), 6, leaves.with(6, Buffer.of(0xff))), "not JSON"],
    [
      "for an entry that says it stands elsewhere",
      receiptOf(misplaced, 6, leaves.with(6, misplaced)),
      "stands at another index",
    ],
  ])("%s", (_, receipt, why) => {
    expect(() => verifyReceipt(receipt, vkey)).toThrow(
      expect.objectContaining({ code: "ledger-corrupt", message: expect.stringContaining(why) as string }),
    );
  });

  test("with another log's key", () => {
    const wrong = verifierKey(noteSigner("ledger.test/a", newKey()));
    expect(() => verifyReceipt(good, wrong)).toThrow(
      expect.objectContaining({
        code: "ledger-corrupt",
        message: expect.stringContaining("no signature by the expected key") as string,
      }),
    );
  });

  test("after any one of its characters was changed", () => {
    const places = Array.from({ length: good.length }, (_, at) => at);
    const changed = (at: number) => good.slice(0, at) + (good[at] === "A" ? "B" : "A") + good.slice(at + 1);
    const survivors = places.filter((at) => verifies(changed(at)));
    expect(survivors).toEqual([]);
  });
});
