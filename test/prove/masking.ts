import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { formsOf, type Pattern } from "../../src/masking/forms.ts";
import { createMaskSet } from "../../src/masking/mask-set.ts";
import type { MaskSet } from "../../src/masking/masker.ts";
import { Secret } from "../../src/secret.ts";
import { maskedByOracle } from "../masking/oracle.ts";

type Random = () => number;
type Sabotage = "forgets-between-chunks" | "ignores-cut-characters" | undefined;

const streams = { small: 20_000, full: 500_000 } as const;
/** Streams per set of secrets: making a set costs more than reading a stream. */
const streamsPerSet = 10;

/** Random secrets in random forms, cut short, glued together and split anywhere, against the rule written plainly (`oracle.ts`). */
export function prove({ size, random, sabotage, note }: ProofRequest): Verdict {
  const fault = sabotageNamed(sabotage);
  const count = { streams: 0, bytes: 0, masks: 0, differ: 0, clean: 0, changed: 0 };
  while (count.streams < streams[size]) {
    const secrets = list(1 + whole(random, 3), () => randomSecret(random));
    const set = createMaskSet();
    set.add(secrets.map((secret) => Secret.of(secret)));
    const forms = secrets.flatMap((secret) => formsOf(Buffer.from(secret)));
    for (let nth = 0; nth < streamsPerSet; nth++)
      tryStream(randomStream(random, secrets, forms), { set, forms, random, fault, count });
    if (count.streams % 50_000 === 0) note(`${count.streams} streams`);
  }
  const controls = `${count.clean} controls without a secret, ${count.changed} changed`;
  return {
    claim: `${count.streams} streams with ${count.masks} masks, ${count.differ} differ from the oracle; ${controls}`,
    held: count.differ === 0 && count.changed === 0 && count.masks > count.streams / 2 && count.clean > 0,
    figures: count,
  };
}

function sabotageNamed(name: string | undefined): Sabotage {
  if (name === undefined || name === "forgets-between-chunks" || name === "ignores-cut-characters") return name;
  throw new Error("masking knows the sabotages forgets-between-chunks and ignores-cut-characters");
}

interface Trial {
  readonly set: MaskSet;
  readonly forms: readonly Pattern[];
  readonly random: Random;
  readonly fault: Sabotage;
  readonly count: { streams: number; bytes: number; masks: number; differ: number; clean: number; changed: number };
}

function tryStream(stream: Buffer, { set, forms, random, fault, count }: Trial): void {
  const rule = fault === "ignores-cut-characters" ? forms.map((form) => ({ ...form, cutLeft: false, cutRight: false })) : forms;
  const expected = maskedByOracle(stream, rule);
  const seen = masked(set, chunked(stream, random), fault);
  const masks = expected.split("***").length - 1;
  count.streams += 1;
  count.bytes += stream.length;
  count.masks += masks;
  if (seen !== expected) count.differ += 1;
  if (masks === 0) {
    count.clean += 1;
    if (seen !== stream.toString("latin1")) count.changed += 1;
  }
}

function masked(set: MaskSet, chunks: readonly Buffer[], fault: Sabotage): string {
  if (fault === "forgets-between-chunks") return chunks.map((chunk) => masked(set, [chunk], undefined)).join("");
  const masker = set.masker();
  return Buffer.concat([...chunks.map((chunk) => masker.write(chunk)), masker.end()]).toString("latin1");
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const specials = ` !"#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~äé日🔑`;
const noiseLetters = Array.from(`${letters}${specials}\n=`);

function randomSecret(random: Random): string {
  const text = (alphabet: readonly string[], length: number) => list(length, () => pick(random, alphabet)).join("");
  const base64 = letters.split("");
  const kinds: readonly (() => string)[] = [
    () => `ghp_${text(base64.slice(0, 62), 36)}`,
    () =>
      text(noiseLetters, 8 + whole(random, 30))
        .trim()
        .padEnd(8, "x"),
    () => text("0123456789abcdef".split(""), 32),
    () => text("ab".split(""), 8 + whole(random, 12)), // overlaps itself
    () => `AKIA-${text(base64, 16)}`,
    () => `-----BEGIN KEY-----\n${text(base64, 64)}\n${text(base64, 30)}\n-----END KEY-----\n`,
  ];
  const secret = pick(random, kinds)();
  return new Set(secret).size === 1 ? randomSecret(random) : secret;
}

function randomStream(random: Random, secrets: readonly string[], forms: readonly Pattern[]): Buffer {
  const noise = () => Buffer.from(list(whole(random, 20), () => pick(random, noiseLetters)).join(""));
  const form = () => pick(random, forms).bytes;
  const pieces: readonly (() => Buffer)[] = [
    noise,
    noise,
    noise,
    form,
    () => form().subarray(0, 1 + whole(random, 40)),
    () => form().subarray(whole(random, 10)),
    () =>
      Buffer.from(
        Buffer.concat([noise(), Buffer.from(pick(random, secrets)), noise()]).toString(
          pick(random, ["base64", "base64url", "hex"]),
        ),
      ),
  ];
  return Buffer.concat(list(whole(random, 6), () => pick(random, pieces)()));
}

function chunked(stream: Buffer, random: Random): readonly Buffer[] {
  const largest = pick(random, [1, 3, 17, 90, 10_000]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = whole(random, largest + 1); // sometimes empty
    chunks.push(stream.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

function list<T>(length: number, make: () => T): T[] {
  return Array.from({ length }, make);
}

function whole(random: Random, below: number): number {
  return Math.floor(random() * below);
}

function pick<T>(random: Random, from: readonly T[]): T {
  const chosen = from[whole(random, from.length)];
  if (chosen === undefined) throw new Error("nothing to pick from");
  return chosen;
}
