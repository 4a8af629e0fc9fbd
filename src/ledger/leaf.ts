import { createHash } from "node:crypto";
import { BrokerError } from "../errors.ts";
import { canonical } from "./canonical.ts";
import type { Entry, Event } from "./entry.ts";
import { entrySchema } from "./entry-schema.ts";

/** C2SP tlog-tiles writes an entry's length in two bytes; a longer one could never be published. */
const longestLeaf = 65_535;
/** What a peer can make us write in one denial or observation, which spend no token: bytes of its claims, and of its trace. */
const longestClaims = 16_384;
const longestTrace = 16_384;
/** Characters of anything else in it. */
const longestWords = 1_024;

/** The bytes of an entry that are hashed into the tree: canonical JSON, in UTF-8. */
export function leafOf(entry: Entry): Buffer {
  const leaf = Buffer.from(canonical(entry), "utf8");
  if (leaf.length > longestLeaf)
    throw new BrokerError("internal", undefined, { detail: `a ${entry.event.kind} entry of ${leaf.length} bytes` });
  return leaf;
}

/**
 * An entry as it will be read: writing what no reader would take for an entry is refused with `internal`, since an append-only
 * log could never be rid of it.
 */
export function sealEntry(entry: Entry): { readonly entry: Entry; readonly leaf: Buffer } {
  const leaf = leafOf(entry);
  try {
    return { entry: entryOf(leaf), leaf };
  } catch (cause) {
    throw new BrokerError("internal", undefined, {
      detail: `a ${entry.event.kind} entry does not have the shape of one`,
      cause,
    });
  }
}

/**
 * A leaf read back, by someone who trusts nothing. Throws `ledger-corrupt` when it is no entry, or when it is not spelled in
 * the one way in which `leafOf` spells it (a repeated member, say, which two readers would understand differently).
 */
export function entryOf(leaf: Uint8Array): Entry {
  const entry = entrySchema.safeParse(json(leaf));
  if (!entry.success) throw new BrokerError("ledger-corrupt", "a leaf is not an entry", { detail: entry.error.message });
  if (Buffer.compare(leafOf(entry.data), leaf) !== 0)
    throw new BrokerError("ledger-corrupt", "a leaf is not in canonical form");
  return entry.data;
}

/**
 * A denial and an observation hold words of the one who asked, as often as it asks: what would be too long is cut, and named by its digest.
 * Claims are kept whole or not at all: half of them would be another identity.
 */
export function fit(event: Event): Event {
  switch (event.kind) {
    case "denied":
      return {
        ...event,
        message: shorten(event.message),
        subject: shortened(event.subject),
        workload: shortened(event.workload),
        job: shortened(event.job),
        asked: shortened(event.asked),
        step: shortened(event.step),
        claims: wholeOrNone(event.claims),
        trace: fitTrace(event.trace ?? null),
      };
    case "observed":
      return {
        ...event,
        subject: shorten(event.subject),
        workload: shorten(event.workload),
        job: shorten(event.job),
        claims: wholeOrNone(event.claims),
      };
    default:
      return event;
  }
}

function wholeOrNone<Claims>(claims: Claims): Claims | null {
  return Buffer.byteLength(canonical(claims)) <= longestClaims ? claims : null;
}

function fitTrace(trace: unknown): unknown {
  const text = canonical(trace);
  return Buffer.byteLength(text) <= longestTrace ? trace : { cut: digestOf(text) };
}

function shortened(text: string | null): string | null {
  return text === null ? null : shorten(text);
}

function shorten(text: string): string {
  return text.length <= longestWords ? text : `${text.slice(0, longestWords)}... (cut, sha256 ${digestOf(text)})`;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function json(leaf: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(leaf));
  } catch (cause) {
    throw new BrokerError("ledger-corrupt", "a leaf is not JSON", { cause });
  }
}
