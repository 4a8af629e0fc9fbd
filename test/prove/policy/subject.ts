import { readFileSync } from "node:fs";
import type { Delivery } from "../../../src/delivery/delivery.ts";
import { type Ask, decide } from "../../../src/policy/decide.ts";
import type { Decision } from "../../../src/policy/grant.ts";
import { type Compiled, compileTemplates } from "../../../src/policy/language/compile.ts";
import type { TemplateSource } from "../../../src/policy/language/document.ts";
import { loadPolicy } from "../../../src/policy/language/load.ts";
import type { Policy } from "../../../src/policy/policy.ts";
import type { Problem } from "../../../src/policy/problem.ts";
import { type SlotKind, slot } from "../../../src/policy/slots.ts";
import type { Isolation } from "../../../src/sandbox/sandbox.ts";
import { rooms as lintRooms } from "../../policy/lint/site.ts";
import type { Answer } from "./observer.ts";
import type { SiteRooms } from "./site.ts";

export type SitePolicy = Policy<Delivery, Isolation>;
export type SiteDecision = Decision<Delivery, Isolation>;

/** What the proof tries: the room's own functions, or in a sabotaged run one of them with a fault around it. */
export interface Subject {
  readonly rooms: SiteRooms;
  compile(sources: readonly TemplateSource[]): Compiled<Delivery, Isolation>;
  /** From a folder on disk, which belongs to whoever runs the proof. */
  load(path: string): Promise<SitePolicy>;
  /** Whatever is said of these templates on the site of the lint's examples. */
  check(sources: readonly TemplateSource[]): readonly Problem[];
  decide(policy: SitePolicy, ask: Ask): SiteDecision;
  /** A template's text of this kind with its slots filled; throws where a claim does not fit, or the text cannot stand there. */
  fill(kind: SlotKind, text: string, claims: Readonly<Record<string, unknown>>): string;
  /** An answer of a real broker; `digest` stands in for the one that its ledger names. */
  heard(answer: Answer, digests: readonly string[]): { readonly answer: Answer; readonly digest: string | undefined };
}

export function realSubject(rooms: SiteRooms): Subject {
  const compile = (sources: readonly TemplateSource[]): Compiled<Delivery, Isolation> => compileTemplates(sources, rooms);
  return {
    rooms,
    compile,
    check: checkOnLintSite,
    load: (path) => loadPolicy({ path, owners: [process.getuid?.() ?? 0] }, rooms),
    decide,
    fill: (kind, text, claims) => slot(kind).parse(text).fill(claims),
    heard: (answer) => ({ answer, digest: undefined }),
  };
}

function checkOnLintSite(sources: readonly TemplateSource[]): readonly Problem[] {
  const compiled = compileTemplates([...sources, nodeSet], lintRooms);
  return compiled.kind === "policy" ? compiled.findings : compiled.problems;
}

const nodeSet: TemplateSource = { file: "node.set.yaml", text: readFileSync("test/policy/lint/node.set.yaml", "utf8") };
