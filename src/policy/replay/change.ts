/** In what a request would come out differently. */
export interface Change {
  readonly kind: ChangeKind;
  /** `credential aws`, `sandbox.memory: 4GiB is more than 2GiB`, `network db.example.com:5432`; the same for every request with the same change. */
  readonly what: string;
  /** Of this one request. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** In the order of a report: what a reviewer must not miss comes first. */
export const changeKinds = [
  "newly-allowed",
  "widened",
  "lengthened",
  "other-command",
  "newly-denied",
  "other-template",
  "cannot-tell",
  "narrowed",
] as const;

export type ChangeKind = (typeof changeKinds)[number];

export function change(kind: ChangeKind, what: string, before?: string, after?: string): Change {
  return { kind, what, before, after };
}
