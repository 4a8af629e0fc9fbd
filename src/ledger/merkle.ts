import { hash as digest } from "node:crypto";

/**
 * The Merkle tree of RFC 6962 section 2.1 over SHA-256. Sizes and indexes are plain numbers up to 2^53, so nothing here may use
 * JavaScript's bit operators: they cut at 32 bits.
 */
export type Hash = Uint8Array;

/** The hash over all leaves from `position * 2^level` to the next such multiple: a complete subtree, which never changes. */
export type ReadNode = (level: number, position: number) => Hash;
export type KeepNode = (level: number, position: number, hash: Hash) => void;

export const hashLength = 32;

const leafPrefix = Buffer.of(0);
const nodePrefix = Buffer.of(1);

export const emptyRoot: Hash = digest("sha256", "", "buffer");

export function leafHash(leaf: Uint8Array): Hash {
  return digest("sha256", Buffer.concat([leafPrefix, leaf]), "buffer");
}

export function nodeHash(left: Hash, right: Hash): Hash {
  return digest("sha256", Buffer.concat([nodePrefix, left, right]), "buffer");
}

/** The right edge of a tree: all that is needed to append and to know the root, in O(log n) memory. */
export class Frontier {
  /** Roots of the complete subtrees that make up the tree, largest first: one for each 1 in the binary form of `#size`. */
  #peaks: readonly Hash[];
  #size: number;

  constructor(from?: Frontier) {
    this.#peaks = from === undefined ? [] : from.#peaks;
    this.#size = from === undefined ? 0 : from.#size;
  }

  get size(): number {
    return this.#size;
  }

  /** `keep` hears of every subtree that the new leaf completes, the leaf itself first. */
  append(leaf: Hash, keep: KeepNode = () => undefined): void {
    const peaks = [...this.#peaks];
    let hash = leaf;
    let position = this.#size;
    let level = 0;
    keep(level, position, hash);
    for (; isOdd(position); position = half(position)) {
      const left = peaks.pop();
      if (left === undefined) throw new Error("the frontier lacks a peak");
      hash = nodeHash(left, hash);
      level += 1;
      keep(level, half(position), hash);
    }
    this.#peaks = [...peaks, hash];
    this.#size += 1;
  }

  root(): Hash {
    const [last, ...rest] = this.#peaks.toReversed();
    return last === undefined ? emptyRoot : rest.reduce((right, left) => nodeHash(left, right), last);
  }
}

/** RFC 6962 2.1.1: the audit path of leaf `index` in the tree of `size` leaves, leaf sibling first. */
export function inclusionProof(read: ReadNode, index: number, size: number): readonly Hash[] {
  checkSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new RangeError(`no leaf ${index} in a tree of ${size}`);
  return path(read, index, { from: 0, to: size });
}

/** RFC 6962 2.1.2: that the tree of `size` leaves only adds to the one of `oldSize`. Empty when either is trivial. */
export function consistencyProof(read: ReadNode, oldSize: number, size: number): readonly Hash[] {
  checkSize(size);
  if (!Number.isSafeInteger(oldSize) || oldSize < 0 || oldSize > size)
    throw new RangeError(`no tree of ${oldSize} in one of ${size}`);
  return oldSize === 0 ? [] : subproof(read, oldSize, { from: 0, to: size }, true);
}

export interface InclusionClaim {
  readonly leaf: Hash;
  readonly index: number;
  readonly size: number;
  readonly proof: readonly Hash[];
  readonly root: Hash;
}

/** RFC 9162 2.1.3.2. Never throws: whatever is malformed does not verify. */
export function verifyInclusion(claim: InclusionClaim): boolean {
  if (!isSize(claim.size) || !Number.isSafeInteger(claim.index) || claim.index < 0 || claim.index >= claim.size) return false;
  const walk = new Walk(claim.index, claim.size - 1);
  let root = claim.leaf;
  for (const sibling of claim.proof) {
    const side = walk.step();
    if (side === "above-root") return false;
    root = side === "left" ? nodeHash(sibling, root) : nodeHash(root, sibling);
  }
  return walk.atRoot && same(root, claim.root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Hash;
  readonly size: number;
  readonly root: Hash;
  readonly proof: readonly Hash[];
}

/** RFC 9162 2.1.4.2; from the empty tree the proof must be empty (C2SP tlog-witness). Never throws. */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { oldSize, size, proof } = claim;
  if (!isSize(oldSize) || !isSize(size) || oldSize > size) return false;
  if (oldSize === size) return proof.length === 0 && same(claim.oldRoot, claim.root);
  if (oldSize === 0) return proof.length === 0 && same(claim.oldRoot, emptyRoot);
  return verifyGrowth(claim);
}

function verifyGrowth({ oldSize, oldRoot, size, root, proof }: ConsistencyClaim): boolean {
  const [first, ...rest] = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  if (first === undefined) return false;
  const roots = climb(first, rest, new Walk(oldSize - 1, size - 1).skipRightEdge());
  if (roots === undefined) return false;
  return same(roots.old, oldRoot) && same(roots.new, root);
}

function climb(first: Hash, proof: readonly Hash[], walk: Walk): { readonly old: Hash; readonly new: Hash } | undefined {
  let roots = { old: first, new: first };
  for (const sibling of proof) {
    const side = walk.step();
    if (side === "above-root") return undefined;
    roots =
      side === "left"
        ? { old: nodeHash(sibling, roots.old), new: nodeHash(sibling, roots.new) }
        : { old: roots.old, new: nodeHash(roots.new, sibling) };
  }
  return walk.atRoot ? roots : undefined;
}

/** The pair `fn`, `sn` of RFC 9162: a node's place on its level, and the place of that level's last node. */
class Walk {
  #node: number;
  #last: number;

  constructor(node: number, last: number) {
    this.#node = node;
    this.#last = last;
  }

  get atRoot(): boolean {
    return this.#last === 0;
  }

  skipRightEdge(): this {
    while (isOdd(this.#node)) this.#up();
    return this;
  }

  /** On which side the next hash of the proof stands. */
  step(): "left" | "right" | "above-root" {
    if (this.atRoot) return "above-root";
    const side = isOdd(this.#node) || this.#node === this.#last ? "left" : "right";
    if (side === "left") while (!isOdd(this.#node) && this.#node !== 0) this.#up();
    this.#up();
    return side;
  }

  #up(): void {
    this.#node = half(this.#node);
    this.#last = half(this.#last);
  }
}

interface Span {
  readonly from: number;
  readonly to: number;
}

function path(read: ReadNode, index: number, span: Span): readonly Hash[] {
  if (span.to - span.from === 1) return [];
  const [left, right] = split(span);
  return index < left.to
    ? [...path(read, index, left), subtree(read, right)]
    : [...path(read, index, right), subtree(read, left)];
}

/** `known`: the verifier already holds this subtree's hash, since it is the old root. */
function subproof(read: ReadNode, oldSize: number, span: Span, known: boolean): readonly Hash[] {
  if (oldSize === span.to) return known ? [] : [subtree(read, span)];
  const [left, right] = split(span);
  return oldSize <= left.to
    ? [...subproof(read, oldSize, left, known), subtree(read, right)]
    : [...subproof(read, oldSize, right, false), subtree(read, left)];
}

function subtree(read: ReadNode, span: Span): Hash {
  const width = span.to - span.from;
  if (isPowerOfTwo(width)) return read(Math.round(Math.log2(width)), span.from / width);
  const [left, right] = split(span);
  return nodeHash(subtree(read, left), subtree(read, right));
}

/** At the largest power of two strictly smaller than the width. */
function split(span: Span): readonly [Span, Span] {
  let width = 1;
  while (width * 2 < span.to - span.from) width *= 2;
  const middle = span.from + width;
  return [
    { from: span.from, to: middle },
    { from: middle, to: span.to },
  ];
}

function isPowerOfTwo(count: number): boolean {
  let power = 1;
  while (power < count) power *= 2;
  return power === count;
}

function checkSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`${size} is not a tree size`);
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

const isOdd = (count: number): boolean => count % 2 === 1;
const half = (count: number): number => Math.floor(count / 2);
const same = (one: Hash, other: Hash): boolean => Buffer.compare(one, other) === 0;
