import { rules } from "../../../src/policy/lint/rules.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import type { Random } from "../identity/chance.ts";
import { shuffled } from "./chance.ts";
import type { Site } from "./made.ts";
import type { SitePolicy, Subject } from "./subject.ts";
import { sourceOf, type WrittenFile } from "./written.ts";

export type Loaded =
  | { readonly kind: "policy"; readonly policy: SitePolicy; readonly files: readonly WrittenFile[] }
  /** `advised`: by rules of the lint alone, of which the oracle knows nothing. */
  | { readonly kind: "refused"; readonly advised: boolean; readonly problems: readonly Problem[] };

/** What a random template is for, nobody can say: every risk is taken, so that the language itself is what is tried. */
const accept = Object.fromEntries(
  rules.filter(({ level }) => level === "risk").map(({ name }) => [name, "a random template of the proof"]),
);

/** Reads a site as its text, its files in any order. */
export function loadSite({ files }: Site, subject: Subject, random: Random): Loaded {
  const sources = shuffled(random, files.map(accepting)).map((file) => sourceOf(file, random));
  const compiled = subject.compile(sources);
  if (compiled.kind === "policy") return { kind: "policy", policy: compiled.policy, files };
  const { problems } = compiled;
  return { kind: "refused", advised: problems.every(({ rule }) => rule !== "invalid"), problems };
}

function accepting({ file, content }: WrittenFile): WrittenFile {
  return { file, content: content["template"] === undefined ? content : { ...content, accept } };
}
