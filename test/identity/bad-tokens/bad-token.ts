import type { Code } from "../../../src/errors.ts";
import type { Stage } from "./stage.ts";

/** The attacks, each with the fewest tokens that must be tried. */
export const rows = {
  "J-01": { attack: "alg none in every spelling", fewest: 33 },
  "J-02": { attack: "an HMAC keyed with what is public", fewest: 27 },
  "J-03": { attack: "an algorithm of the wrong family", fewest: 8 },
  "J-04": { attack: "a key brought along in the header", fewest: 4 },
  "J-05": { attack: "a URL of keys in the header", fewest: 20 },
  "J-06": { attack: "a certificate in the header", fewest: 3 },
  "J-07": { attack: "a kid that is a path, a query or a command", fewest: 21 },
  "J-08": { attack: "crit and b64", fewest: 11 },
  "J-09": { attack: "members that are there twice", fewest: 26 },
  "J-10": { attack: "other shapes than three parts of JSON", fewest: 49 },
  "J-11": { attack: "size and depth", fewest: 12 },
  "J-12": { attack: "claims of another type", fewest: 80 },
  "J-13": { attack: "audiences", fewest: 12 },
  "J-14": { attack: "issuers that look alike", fewest: 16 },
  "J-15": { attack: "times", fewest: 25 },
  "J-18": { attack: "degenerate ECDSA signatures", fewest: 10 },
  "J-19": { attack: "keys under which anybody can sign", fewest: 22 },
  "J-20": { attack: "one issuer's key with another's name", fewest: 12 },
  "J-22": { attack: "a good token of another job", fewest: 24 },
} as const;

export type Row = keyof typeof rows;

/** A token that must be refused with exactly this code. */
export interface BadToken {
  readonly row: Row;
  readonly name: string;
  readonly make: (stage: Stage) => string;
  readonly code: Code;
}

export type Make = BadToken["make"];

/** Several of one row that are refused alike. */
export function bad(
  row: Row,
  code: Code,
  makers: Readonly<Record<string, Make>> | readonly (readonly [string, Make])[],
): readonly BadToken[] {
  const entries = Array.isArray(makers) ? (makers as readonly (readonly [string, Make])[]) : Object.entries(makers);
  return entries.map(([name, make]) => ({ row, name, make, code }));
}

/** One for each value, named by how JSON writes it. */
export function badValues(
  row: Row,
  code: Code,
  values: readonly unknown[],
  make: (value: unknown, stage: Stage) => string,
): readonly BadToken[] {
  return values.map((value) => ({ row, name: named(value), make: (stage) => make(value, stage), code }));
}

export function named(value: unknown): string {
  const text = JSON.stringify(value) ?? "left out";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
