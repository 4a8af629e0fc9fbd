import { isDeepStrictEqual } from "node:util";
import { type SlotKind, slotKinds } from "../../../src/policy/slots.ts";
import { pick, type Random, whole } from "../identity/chance.ts";
import {
  arnParts,
  celTokens,
  fieldValue,
  fileName,
  iamAllows,
  label,
  pathSegments,
  queryPairs,
  type Shape,
  sessionName,
  sessionPolicy,
  type TakeApart,
  tagValue,
} from "./oracle/shapes.ts";
import { type Found, inWords, type Trial, Wrong } from "./part.ts";
import { harmless, hostileValue } from "./payloads.ts";

/** Texts of a kind as templates write them, who takes them apart, and what stands between two slots of one. */
interface Place {
  readonly texts: readonly string[];
  readonly takeApart: TakeApart;
  readonly separator: string;
}

const places: Readonly<Record<SlotKind, Place>> = {
  "path-segment": {
    texts: ["secret/data/ci/{a}", "secret/data/{a}/x", "secret/data/ci-{a}.d/{b}/x", "kv/{a}"],
    takeApart: pathSegments,
    separator: "/",
  },
  name: { texts: ["{a}", "ci-{a}", "job:{a}:x", "{a}/{b}"], takeApart: label, separator: ":" },
  "arn-part": {
    texts: ["arn:aws:iam::111122223333:role/ci-{a}", "arn:aws:iam::{a}:role/deploy", "arn:aws:iam::111122223333:role/{a}/{b}"],
    takeApart: arnParts,
    separator: ":",
  },
  "policy-resource": {
    texts: ["arn:aws:s3:::shop/{a}/{b}/*", "arn:aws:s3:::shop-{a}/x", "arn:aws:s3:::shop/{a}"],
    takeApart: sessionPolicy,
    separator: "/",
  },
  "session-name": { texts: ["{a}", "ci-{a}", "{a},{b}"], takeApart: sessionName, separator: "," },
  tag: { texts: ["{a}", "job {a}", "{a} {b}"], takeApart: tagValue, separator: " " },
  "gcp-literal": { texts: ["projects/_/buckets/shop/objects/{a}/", "{a}", "x/{a}/{b}"], takeApart: celTokens, separator: "/" },
  "file-name": { texts: ["{a}", "{a}.pem", "token-{a}.txt", "{a}.{b}.pem"], takeApart: fileName, separator: "." },
  header: { texts: ["{a}", "job {a}, mayfly", "id={a}; v=1", "{a},{b}"], takeApart: fieldValue, separator: "," },
  query: {
    texts: ["resource={a}", "resource={a}&v=1", "scope=repo:{a}", "a={a}&b={b}"],
    takeApart: queryPairs,
    separator: "&",
  },
};

const kinds = Object.keys(slotKinds) as readonly SlotKind[];

interface Count {
  filled: number;
  denied: number;
  controls: number;
  controlsFilled: number;
  pairs: number;
  pairsFilled: number;
}

/** Whatever a claim's value is, it stays where its slot stands, or there is no credential. */
export function slots(trial: Trial): Found {
  const wrong = new Wrong(trial);
  const count: Count = { filled: 0, denied: 0, controls: 0, controlsFilled: 0, pairs: 0, pairsFilled: 0 };
  const values = trial.size === "small" ? 500 : 5_000;
  for (const kind of kinds) {
    tryControls(trial, kind, count);
    for (let nth = 0; nth < values; nth++) tryValue(trial, kind, { wrong, count });
    tryClosePairs(trial, kind, wrong);
  }
  tryPairs(trial, count, wrong);
  const [widened, collided] = [wrong.count("widened", "allows more"), wrong.count("two pairs, one text", "slots too close")];
  return {
    claim: `${inWords(values)} fuzzed claim values in each of ${kinds.length} slot kinds, ${widened} widen (${inWords(count.denied)} denied, ${inWords(count.filled)} filled in shape), ${count.controlsFilled} of ${count.controls} harmless ones filled; ${inWords(count.pairs)} pairs of joined claims (${inWords(count.pairsFilled)} filled), ${collided} collisions`,
    held: wrong.count() === 0 && count.controls === count.controlsFilled && count.filled > 0,
    figures: { slotKinds: kinds.length, fuzzedValues: values * kinds.length, widened, ...count, collided },
  };
}

/** The filled text; undefined where it was denied. */
function filledBy({ subject }: Trial, kind: SlotKind, { text, claims }: Filling): string | undefined {
  try {
    return subject.fill(kind, text, claims);
  } catch {
    return undefined;
  }
}

interface Filling {
  readonly text: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

function tryControls(trial: Trial, kind: SlotKind, count: Count): void {
  for (const text of places[kind].texts)
    for (const value of harmless) {
      count.controls += 1;
      if (filledBy(trial, kind, { text, claims: { a: value, b: value } }) !== undefined) count.controlsFilled += 1;
    }
}

function tryValue(trial: Trial, kind: SlotKind, { wrong, count }: { readonly wrong: Wrong; readonly count: Count }): void {
  const { texts, takeApart } = places[kind];
  const text = pick(trial.random, texts);
  const [hostile, other] = [hostileValue(trial.random), trial.random() < 0.5 ? "x" : hostileValue(trial.random)];
  const filled = filledBy(trial, kind, { text, claims: { a: hostile, b: other } });
  if (filled === undefined) count.denied += 1;
  else {
    count.filled += 1;
    const about = (): string => `${kind}: ${text} became ${JSON.stringify(filled.slice(0, 200))}`;
    const expected = shapeWith(takeApart(marked(text)), { a: String(hostile), b: String(other) });
    if (!isDeepStrictEqual(shapeOf(takeApart, filled), expected)) wrong.add("widened", about);
    if (kind === "policy-resource" && allowsMore(text, filled, { a: String(hostile), b: String(other) }))
      wrong.add("allows more", about);
  }
}

function shapeOf(takeApart: TakeApart, text: string): Shape | undefined {
  try {
    return takeApart(text);
  } catch {
    return undefined;
  }
}

/** Names that mean nothing to anybody, so that where they stand in the shape is where the slots stand. */
function marked(text: string): string {
  return text.replace("{a}", "markmarkA").replace("{b}", "markmarkB");
}

/** The template's shape, with each value whole in the place of its slot. */
function shapeWith(shape: unknown, values: Readonly<Record<"a" | "b", string>>): unknown {
  if (typeof shape === "string") return shape.replaceAll("markmarkA", () => values.a).replaceAll("markmarkB", () => values.b);
  if (Array.isArray(shape)) return shape.map((item: unknown) => shapeWith(item, values));
  if (typeof shape !== "object" || shape === null) return shape;
  return Object.fromEntries(Object.entries(shape).map(([key, value]: [string, unknown]) => [key, shapeWith(value, values)]));
}

/** What a job of another repository, another bucket or a folder above would ask for. */
const asked = [
  "arn:aws:s3:::shop/other/1/x",
  "arn:aws:s3:::shop",
  "arn:aws:s3:::shop/",
  "arn:aws:s3:::shop-other/x",
  "arn:aws:s3:::bank/x",
  "arn:aws:iam::1:role/x",
  "arn:aws:s3:::shop/a/b/c",
  "arn:aws:s3:::shop/o",
  "*",
];

/** Every resource that is allowed begins as the template says, with the very value in it. */
function allowsMore(text: string, filled: string, values: Readonly<Record<"a" | "b", string>>): boolean {
  const fixed = text
    .replace(/\*$/, "")
    .replace("{a}", () => values.a)
    .replace("{b}", () => values.b);
  return asked.some((one) => iamAllows(filled, one) && !one.startsWith(fixed));
}

/** Two slots with nothing, or nothing that tells them apart, between them. */
function tryClosePairs(trial: Trial, kind: SlotKind, wrong: Wrong): void {
  for (const text of ["{a}{b}", "{a}-{b}", "{a}_{b}", "{a}x{b}"])
    if (filledBy(trial, kind, { text, claims: { a: "p", b: "q" } }) !== undefined)
      wrong.add("slots too close", () => `${kind}: ${text}`);
}

const letters = "aabb-_.:/,;@=+ &%|";

/** Pairs that differ, of few letters and all separators: were two of them filled to one text, two jobs would be one. */
function tryPairs(trial: Trial, count: Count, wrong: Wrong): void {
  const seen = new Map<string, string>();
  const some = (random: Random): string =>
    Array.from({ length: 1 + whole(random, 4) }, () => letters.charAt(whole(random, random() < 0.8 ? 6 : letters.length))).join(
      "",
    );
  while (count.pairs < 10_000) {
    const kind = kinds[count.pairs % kinds.length] as SlotKind;
    const [a, b] = [some(trial.random), some(trial.random)];
    const filled = filledBy(trial, kind, { text: `{a}${places[kind].separator}{b}`, claims: { a, b } });
    count.pairs += 1;
    const [key, pair] = [`${kind} ${filled}`, JSON.stringify([a, b])];
    const earlier = seen.get(key) ?? pair;
    if (filled !== undefined) {
      seen.set(key, pair);
      count.pairsFilled += 1;
    }
    if (filled !== undefined && earlier !== pair)
      wrong.add("two pairs, one text", () => `${kind}: ${earlier} and ${pair} are ${filled}`);
  }
  if (count.pairsFilled < count.pairs / 4) wrong.add("too few pairs filled", () => String(count.pairsFilled));
}
