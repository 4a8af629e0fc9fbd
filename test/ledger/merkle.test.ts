import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  consistencyProof,
  Frontier,
  type Hash,
  inclusionProof,
  leafHash,
  nodeHash,
  type ReadNode,
  verifyConsistency,
  verifyInclusion,
} from "../../src/ledger/merkle.ts";

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the test asks for what is not there");
  return value;
}

const hex = (hash: Uint8Array): string => Buffer.from(hash).toString("hex");

/** The test vectors that every implementation of RFC 6962 shares (first in certificate-transparency's merkle_tree_test). */
const vectorLeaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const vectorRoots = [
  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/** The definition of RFC 6962 2.1, word for word, as an oracle. */
function definition(leaves: readonly Uint8Array[]): Hash {
  if (leaves.length === 0) return Buffer.from(vectorRoots[0] ?? "", "hex");
  if (leaves.length === 1) return leafHash(leaves[0] ?? Buffer.of());
  const k = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return nodeHash(definition(leaves.slice(0, k)), definition(leaves.slice(k)));
}

function grow(leaves: readonly Uint8Array[]) {
  const nodes = new Map<string, Hash>();
  const tree = new Frontier();
  const roots = [tree.root()];
  for (const leaf of leaves) {
    tree.append(leafHash(leaf), (level, position, hash) => nodes.set(`${level}/${position}`, hash));
    roots.push(tree.root());
  }
  const read: ReadNode = (level, position) => found(nodes.get(`${level}/${position}`));
  return { read, roots };
}

const numbered = (count: number): readonly Uint8Array[] => Array.from({ length: count }, (_, n) => Buffer.from(`leaf ${n}`));

describe("the tree", () => {
  test.each(vectorRoots.map((root, size) => [size, root] as const))(
    "of the first %i vector leaves has root %s",
    (size, root) => {
      expect(hex(grow(vectorLeaves.map((leaf) => Buffer.from(leaf, "hex"))).roots[size] ?? Buffer.of())).toBe(root);
    },
  );

  test("has the root of the RFC's definition at every size up to 64", () => {
    const leaves = numbered(64);
    const { roots } = grow(leaves);
    for (let size = 0; size <= 64; size++) expect(hex(roots[size] ?? Buffer.of())).toBe(hex(definition(leaves.slice(0, size))));
  });

  test("proves every leaf, and no other, at every size up to 64", () => {
    const leaves = numbered(64);
    const { read, roots } = grow(leaves);
    const places = Array.from({ length: 65 }, (_, size) =>
      Array.from({ length: size }, (_, index) => ({ index, size })),
    ).flat();
    const verdicts = places.flatMap(({ index, size }) => {
      const proof = inclusionProof(read, index, size);
      const claim = { leaf: leafHash(found(leaves[index])), size, proof, root: found(roots[size]) };
      return Array.from({ length: size }, (_, other) => verifyInclusion({ ...claim, index: other }) === (other === index));
    });
    expect([verdicts.length, verdicts.filter((right) => right).length]).toEqual([89_440, 89_440]);
  });

  test("proves that it only grew, between every two sizes up to 64", () => {
    const { read, roots } = grow(numbered(64));
    for (let size = 0; size <= 64; size++) {
      for (let oldSize = 0; oldSize <= size; oldSize++) {
        const claim = {
          oldSize,
          oldRoot: roots[oldSize] ?? Buffer.of(),
          size,
          root: roots[size] ?? Buffer.of(),
          proof: consistencyProof(read, oldSize, size),
        };
        expect(verifyConsistency(claim)).toBe(true);
        expect(verifyConsistency({ ...claim, oldRoot: leafHash(Buffer.from("other")) })).toBe(false);
      }
    }
  });
});

describe("a proof that was tampered with", () => {
  const leaves = numbered(200);
  const { read, roots } = grow(leaves);
  const flip = (hash: Hash, bit: number): Hash =>
    hash.map((byte, place) => (place === Math.floor(bit / 8) ? byte ^ (1 << (bit % 8)) : byte));
  const place = fc
    .integer({ min: 1, max: 200 })
    .chain((size) => fc.tuple(fc.integer({ min: 0, max: size - 1 }), fc.constant(size)));
  const bit = fc.integer({ min: 0, max: 255 });

  const changes: Readonly<Record<string, (proof: readonly Hash[], at: number, bitAt: number) => readonly Hash[]>> = {
    "a flipped bit": (proof, at, bitAt) => proof.map((hash, n) => (n === at ? flip(hash, bitAt) : hash)),
    "a missing hash": (proof, at) => proof.toSpliced(at, 1),
    "a doubled hash": (proof, at) => proof.toSpliced(at, 0, proof[at] ?? Buffer.alloc(32)),
    "one hash too many": (proof) => [...proof, leafHash(Buffer.of(1))],
    "its hashes reversed": (proof) => proof.toReversed(),
  };
  const same = (one: readonly Hash[], other: readonly Hash[]) => one.map(hex).join() === other.map(hex).join();

  test.each(Object.entries(changes))("by %s proves no inclusion", (_, change) => {
    fc.assert(
      fc.property(place, fc.nat(), bit, ([index, size], at, bitAt) => {
        const proof = inclusionProof(read, index, size);
        const bad = change(proof, at % Math.max(proof.length, 1), bitAt);
        fc.pre(!same(proof, bad));
        const claim = { leaf: leafHash(leaves[index] ?? Buffer.of()), index, size, root: roots[size] ?? Buffer.of() };
        expect([verifyInclusion({ ...claim, proof }), verifyInclusion({ ...claim, proof: bad })]).toEqual([true, false]);
      }),
      { numRuns: 500 },
    );
  });

  test.each(Object.entries(changes))("by %s proves no consistency", (_, change) => {
    fc.assert(
      fc.property(place, fc.nat(), bit, ([oldSize, size], at, bitAt) => {
        const proof = consistencyProof(read, oldSize, size);
        const bad = change(proof, at % Math.max(proof.length, 1), bitAt);
        fc.pre(!same(proof, bad));
        const claim = { oldSize, oldRoot: roots[oldSize] ?? Buffer.of(), size, root: roots[size] ?? Buffer.of() };
        expect([verifyConsistency({ ...claim, proof }), verifyConsistency({ ...claim, proof: bad })]).toEqual([true, false]);
      }),
      { numRuns: 500 },
    );
  });

  test("proves nothing when it is longer than its tree is high, even where its hashes lead to the root", () => {
    const [first, second] = [leafHash(found(leaves[0])), leafHash(found(leaves[1]))];
    const two = found(roots[2]);
    expect(verifyInclusion({ leaf: second, index: 1, size: 2, proof: [first], root: two })).toBe(true);
    expect(verifyInclusion({ leaf: second, index: 0, size: 1, proof: [first], root: two })).toBe(false);
    const above = found(leaves[5]);
    const grown = { oldSize: 3, oldRoot: found(roots[3]), size: 4, root: found(roots[4]), proof: consistencyProof(read, 3, 4) };
    expect(verifyConsistency(grown)).toBe(true);
    const lifted = { ...grown, oldRoot: nodeHash(above, grown.oldRoot), root: nodeHash(above, grown.root) };
    expect(verifyConsistency({ ...lifted, proof: [...grown.proof, above] })).toBe(false);
  });

  test("proves nothing for places that do not exist", () => {
    const proof = inclusionProof(read, 5, 8);
    const claim = { leaf: leafHash(leaves[5] ?? Buffer.of()), index: 5, size: 8, proof, root: roots[8] ?? Buffer.of() };
    expect(verifyInclusion(claim)).toBe(true);
    for (const [index, size] of [
      [8, 8],
      [-1, 8],
      [5, 0],
      [5.5, 8],
      [5, 2 ** 53],
      [Number.NaN, 8],
      [5, Number.POSITIVE_INFINITY],
    ] as const) {
      expect(verifyInclusion({ ...claim, index, size })).toBe(false);
      expect(() => inclusionProof(read, index, size)).toThrow(RangeError);
    }
    expect(() => consistencyProof(read, 9, 8)).toThrow(RangeError);
    expect(verifyConsistency({ oldSize: 9, oldRoot: claim.root, size: 8, root: claim.root, proof })).toBe(false);
  });
});

/** All leaves alike, so each level has one hash, and a tree of any size can be read without being built. */
describe("trees beyond 2^31 leaves", () => {
  const levels = [leafHash(Buffer.from("same"))];
  while (levels.length < 54) levels.push(nodeHash(levels.at(-1) ?? Buffer.of(), levels.at(-1) ?? Buffer.of()));
  const read: ReadNode = (level) => found(levels[level]);
  const rootOf = (size: number): Hash => {
    const peaks = [...levels.keys()].filter((level) => Math.floor(size / 2 ** level) % 2 === 1).map(read0);
    return peaks.slice(1).reduce((right, left) => nodeHash(left, right), peaks[0] ?? Buffer.of());
  };
  const read0 = (level: number): Hash => read(level, 0);
  const huge = fc.integer({ min: 2 ** 31, max: Number.MAX_SAFE_INTEGER });

  test("prove and verify every place", () => {
    fc.assert(
      fc.property(huge, fc.double({ min: 0, max: 1, noNaN: true }), (size, share) => {
        const index = Math.min(size - 1, Math.floor(size * share));
        const claim = { leaf: read(0, 0), index, size, proof: inclusionProof(read, index, size), root: rootOf(size) };
        expect([verifyInclusion(claim), verifyInclusion({ ...claim, leaf: read(1, 0) })]).toEqual([true, false]);
      }),
    );
  });

  test("prove and verify that they only grew", () => {
    fc.assert(
      fc.property(huge, huge, (one, other) => {
        const [oldSize, size] = one < other ? [one, other] : [other, one];
        const claim = {
          oldSize,
          oldRoot: rootOf(oldSize),
          size,
          root: rootOf(size),
          proof: consistencyProof(read, oldSize, size),
        };
        expect([verifyConsistency(claim), verifyConsistency({ ...claim, oldRoot: read(3, 0) })]).toEqual([true, false]);
      }),
    );
  });
});
