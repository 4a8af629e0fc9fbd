import { pick, type Random } from "../identity/chance.ts";
import { chance, some } from "./chance.ts";
import { dayNames } from "./oracle/time.ts";
import { randomWhen } from "./when-made.ts";
import { conditions, vocabulary } from "./who-made.ts";
import { isList, listOf, mapOf, type Plain, type Written, type WrittenFile } from "./written.ts";

/** The same files with one condition more, and which. */
export interface Narrowed {
  readonly files: readonly WrittenFile[];
  readonly how: string;
  /** The template that has it; undefined where all of them do. */
  readonly about?: string;
}

type Narrowing = (content: Written, random: Random) => Written;

const narrowings: Readonly<Record<string, Narrowing>> = {
  "a line of who more": (content, random) => {
    const who = mapOf(content["who"]);
    const added = Object.entries(conditions("ci", random)).filter(([key]) => who[key] === undefined);
    const other = vocabulary.get("actor_id")?.values[0] ?? "1001";
    return {
      ...content,
      who: {
        ...who,
        ...(added.length > 0 ? Object.fromEntries(added) : who["actor_id"] === undefined ? { actor_id: other } : {}),
      },
    };
  },
  "a value of not more": (content, random) => {
    const who = mapOf(content["who"]);
    const not = mapOf(who["not"]);
    const claim = pick(
      random,
      chance(random, 0.7) && Object.keys(not).length > 0 ? Object.keys(not) : ["event_name", "environment", "ref"],
    );
    const known = vocabulary.get(claim);
    const value = pick<Plain>(random, [...(known?.values ?? []), ...(known?.globs ?? [])]);
    return { ...content, who: { ...who, not: { ...not, [claim]: [...listOf(not[claim]), value] } } };
  },
  "a claim of absent more": (content, random) => {
    const who = mapOf(content["who"]);
    const claim = pick(random, ["environment", "actor_id", "ref"]);
    return { ...content, who: { ...who, absent: [...new Set([...listOf(who["absent"]), claim])] } };
  },
  "a value of a list less": (content, random) => {
    const who = mapOf(content["who"]);
    const lists = Object.entries(who).filter(([key, value]) => isList(value) && value.length > 1 && key !== "absent");
    if (lists.length === 0) return content;
    const [key, value] = pick(random, lists);
    return { ...content, who: { ...who, [key]: listOf(value).slice(1) } };
  },
  "fewer days": (content, random) => {
    const when = content["when"];
    if (when === undefined) return { ...content, when: randomWhen(random) };
    const { days, ...rest } = mapOf(when);
    const fewer = days === undefined ? dayNames : isList(days) && days.length > 1 ? days : undefined;
    return fewer === undefined
      ? content
      : { ...content, when: { days: some(random, [...fewer], [1, fewer.length - 1]), ...rest } };
  },
};

/** In a template, or by the bounds of a folder that had none. */
export function narrowedSite(files: readonly WrittenFile[], random: Random): Narrowed {
  const bounded = files.some(({ file }) => file === "bounds.yaml");
  if (!bounded && chance(random, 0.25)) return { files: [...files, above(random)], how: "bounds above" };
  const templates = files.filter(({ content }) => content["template"] !== undefined && content["who"] !== undefined);
  if (templates.length === 0) return { files, how: "nothing" };
  const [chosen, how] = [pick(random, templates), pick(random, Object.keys(narrowings))];
  const content = narrowings[how]?.(chosen.content, random) ?? chosen.content;
  return { files: files.map((file) => (file === chosen ? { ...file, content } : file)), how, about: chosen.file };
}

function above(random: Random): WrittenFile {
  const lines = conditions("ci", random);
  const who = Object.keys(lines).length > 0 ? lines : { trust: "protected" };
  return {
    file: "bounds.yaml",
    content: {
      version: 1,
      ...pick<Written>(random, [{ who }, { when: randomWhen(random) }, { who, when: randomWhen(random) }, { max_ttl: "10m" }]),
    },
  };
}
