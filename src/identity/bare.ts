/** A record without a prototype: a member that nobody set is absent, even one called `toString`. */
export function bare<T>(entries: Iterable<readonly [string, T]> = []): Record<string, T> {
  const record: Record<string, T> = {};
  Object.setPrototypeOf(record, null);
  for (const [name, value] of entries) record[name] = value;
  return record;
}
