import { durationText } from "../../duration-text.ts";
import { type Edit, valueAt } from "./edit.ts";
import { bytesText, margin, roomyBytes, roomyDuration, spanText } from "./figures.ts";
import { networkPoints } from "./network.ts";
import { fewestRuns, type Point, runsText, type Subject } from "./suggestion.ts";
import { longestRun, longestUse, peakMemory, type RunSeen, tallied } from "./usage.ts";

/** Pure. Every edit narrows; who may ask is never changed, and neither is what may be asked for while anybody asked for it. */
export function suggest<I>(subject: Subject<I>): readonly Point[] {
  const { counted } = subject.usage;
  if (counted.length < fewestRuns) return [];
  const unused = unusedPoints(subject);
  const removed = new Set(
    unused.flatMap(({ edits = [] }) => edits.map((edit) => [...edit.path, "key" in edit ? edit.key : ""].join("."))),
  );
  const gone = (key: string): boolean => [...removed].some((path) => key.startsWith(`${path}.`));
  return [
    ...credentialPoints(subject),
    ...limitPoints(subject),
    ...networkPoints(subject),
    ...unused,
    ...whoPoints(counted),
  ].filter(({ key }) => !gone(key));
}

function credentialPoints<I>({ text, templates, usage: { counted } }: Subject<I>): readonly Point[] {
  const names = new Set(templates.flatMap(({ credentials }) => [...credentials.keys()]));
  return [...names].flatMap((name) => {
    const path = ["credentials", name];
    const used = longestUse(counted, name);
    const ttl = Math.max(...templates.map(({ credentials }) => credentials.get(name)?.ttl ?? 0));
    const key = [...path, "ttl"].join(".");
    if (used === undefined) return [];
    const evidence = `${runsText(used.runs)}, longest ${spanText(used.most)} (${used.run})`;
    return [
      narrowed(
        { key, evidence, path, text, beside: [...names] },
        { name: "ttl", before: ttl, after: roomyDuration(used.most), runs: used.runs },
        durationText,
      ),
    ];
  });
}

interface Place {
  readonly key: string;
  readonly evidence: string;
  readonly path: readonly string[];
  readonly text: string;
  /** Whatever stands beside it in the template's final form, for a child that names none of them yet. */
  readonly beside: readonly string[];
}

interface Figure {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly runs: number;
}

/** A lower figure in the template's own file, where there is evidence enough; what extends another gets a line of its own. */
function narrowed(
  { key, evidence, path, text, beside }: Place,
  { name, before, after, runs }: Figure,
  written: (figure: number) => string,
): Point {
  if (runs < fewestRuns) return { key, evidence: `${evidence}; fewer than ${fewestRuns} runs say nothing` };
  if (after >= before) return { key, evidence: `${evidence}; ${written(before)} is narrow enough` };
  const own = valueAt(text, [...path, name]);
  if (typeof own === "string" && own.includes("{"))
    return { key, evidence: `${evidence}; ${written(after)} would do: it is ${own}, so write it where that is filled` };
  const [map = ""] = path;
  const kept = valueAt(text, [map]) === undefined ? beside : [];
  const edits: readonly Edit[] = [
    ...kept.map((one) => ({ kind: "keep", path: [map], key: one }) as const),
    { kind: "set", path, key: name, text: written(after) },
  ];
  return { key, evidence, before: written(before), after: written(after), edits };
}

function limitPoints<I>({ text, templates, usage: { counted }, limits }: Subject<I>): readonly Point[] {
  const base = templates.map(({ isolation }) => limits(isolation.base));
  const figures = [
    {
      name: "timeout",
      most: longestRun(counted),
      before: Math.max(...base.map(({ timeout }) => timeout)),
      roomy: roomyDuration,
      written: durationText,
      said: spanText,
      word: "longest",
    },
    {
      name: "memory",
      most: peakMemory(counted),
      before: Math.max(...base.map(({ memory }) => memory)),
      roomy: roomyBytes,
      written: bytesText,
      said: bytesText,
      word: "at most",
    },
  ];
  return figures.flatMap(({ name, most, before, roomy, written, said, word }) => {
    const key = `sandbox.${name}`;
    if (most === undefined) return [{ key, evidence: "no run says how much it used" }];
    const evidence = `${runsText(most.runs)}, ${word} ${said(most.most)} (${most.run})`;
    // One that says nothing may have used the most.
    const silent = counted.length - most.runs;
    if (silent > 0) return [{ key, evidence: `${evidence}; ${runsText(silent)} that counted did not say` }];
    if (byTrust(text, name)) return [{ key, evidence: `${evidence}; by_trust sets it too, so narrow it by hand` }];
    return [
      narrowed(
        { key, evidence, path: ["sandbox"], text, beside: [] },
        { name, before, after: roomy(most.most), runs: most.runs },
        written,
      ),
    ];
  });
}

function byTrust(text: string, name: string): boolean {
  const written = valueAt(text, ["sandbox", "by_trust"]);
  return (
    typeof written === "object" &&
    written !== null &&
    Object.values(written).some((limits: unknown) => typeof limits === "object" && limits !== null && name in limits)
  );
}

/** Steps that nobody ran at all in the span, and the credentials that only they would get. */
function unusedPoints<I>({ text, templates, usage: { used, counted } }: Subject<I>): readonly Point[] {
  const ran = tallied(counted.flatMap(({ step }) => step ?? []));
  const steps = [...new Set(templates.flatMap(({ steps: all }) => [...all.keys()]))];
  const idle = steps.filter((step) => !used.steps.has(step));
  const wanted = new Set(
    templates.flatMap(({ steps: all }) =>
      [...all.values()].filter(({ name }) => !idle.includes(name)).flatMap(({ credentials }) => credentials),
    ),
  );
  const stepless = steps.length === 0;
  const credentials = [...new Set(templates.flatMap((template) => [...template.credentials.keys()]))];
  return [
    ...steps.filter((step) => !ran.has(step)).map((step) => unusedPoint(text, "steps", step, idle.includes(step))),
    ...credentials
      .filter((name) => counted.every((run) => !issuedIn(run, name)))
      .map((name) => unusedPoint(text, "credentials", name, !stepless && !wanted.has(name) && !used.credentials.has(name))),
  ];
}

function issuedIn(run: RunSeen, credential: string): boolean {
  return run.credentials.some(({ name, issuedAt }) => name === credential && issuedAt !== undefined);
}

function unusedPoint(text: string, kind: "steps" | "credentials", name: string, nobody: boolean): Point {
  const key = `${kind}.${name}`;
  const nobodyDid = kind === "steps" ? "nobody ran it" : "nobody was given it";
  if (!nobody || valueAt(text, [kind, name]) === undefined) return { key, evidence: "no run that counts used it" };
  const edits: readonly Edit[] = [{ kind: "remove", path: [kind], key: name }];
  return {
    key,
    evidence: `${nobodyDid} in all that time; keep it if it is for emergencies`,
    before: name,
    after: "nothing",
    edits,
  };
}

/** Only said: who may ask is decided by people. */
function whoPoints(counted: readonly RunSeen[]): readonly Point[] {
  const said = (key: string, values: readonly string[]): readonly Point[] => {
    const counts = [...tallied(values)].map(([value, count]) => `${value} (${count})`);
    return counts.length === 0 ? [] : [{ key, evidence: `of ${runsText(counted.length)}: ${counts.join(", ")}` }];
  };
  return [
    ...said(
      "who.trust",
      counted.flatMap(({ asker }) => asker?.trust ?? []),
    ),
    ...said(
      "who.event",
      counted.flatMap(({ asker }) => asker?.event ?? []),
    ),
  ];
}

/** What every suggestion rests on, for the one who reads it. */
export const footing: readonly string[] = [
  `a figure is the most that any counted run used and ${margin}`,
  "the actions of a cloud's policy are not looked at: what a run did there is in the cloud's own log, which the ledger does not have",
];
