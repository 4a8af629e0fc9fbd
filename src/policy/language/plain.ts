/** What a file holds before anything has read it. */
export type Plain = Readonly<Record<string, unknown>>;

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Empty where it is something else: whatever reads the whole says so. */
export function plainOf(value: unknown): Plain {
  return isPlain(value) ? value : {};
}

/** Own members only: a credential may be called `constructor`. */
export function own(record: Plain, key: string): unknown {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Without the keys that hold nothing. */
export function defined(record: Plain): Plain {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}
