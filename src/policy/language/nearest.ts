/** `did you mean repository_id?`, else what there is. */
export function meant(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === undefined ? thereIs(known) : `did you mean ${near}?`;
}

/** `there is deploy, release`; only the first of many. */
export function thereIs(known: readonly string[]): string {
  return known.length === 0 ? "there is none" : `there is ${known.slice(0, 12).join(", ")}${known.length > 12 ? ", …" : ""}`;
}

/** Each of ten thousand names that are misspelled would be compared with all the others. */
const mostCompared = 256;

/** The known word that is so close that it must have been meant; undefined where none is. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const short = word.slice(0, 64);
  const allowed = short.length < 4 ? 1 : Math.max(2, Math.floor(short.length / 3));
  const [best] = known
    .filter((name) => Math.abs(name.length - short.length) <= allowed)
    .slice(0, mostCompared)
    .map((name) => ({ name, distance: distance(short.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance: far }) => far <= allowed)
    .toSorted((a, b) => a.distance - b.distance);
  return best?.name;
}

/** How many letters must be put in, taken out or changed (Levenshtein). */
export function distance(a: string, b: string): number {
  const row = Uint16Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 0; i < a.length; i += 1) {
    let [diagonal = 0] = row;
    row[0] = i + 1;
    for (let j = 0; j < b.length; j += 1) {
      const above = row[j + 1] ?? 0;
      const changed = diagonal + (a[i] === b[j] ? 0 : 1);
      row[j + 1] = Math.min(above + 1, (row[j] ?? 0) + 1, changed);
      diagonal = above;
    }
  }
  return row[b.length] ?? a.length;
}
