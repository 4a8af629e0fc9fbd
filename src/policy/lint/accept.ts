import type { Instant } from "../../time.ts";
import type { TemplateDocument } from "../language/document.ts";
import type { Problem } from "../problem.ts";
import type { Draft } from "./lint.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { member } from "./scope-view.ts";
import { slipOf } from "./words.ts";

/** A rule that judges the acceptances themselves; `names` are all rules, its own included. */
export function acceptUnknown(names: () => ReadonlyMap<string, Rule["level"]>): Rule {
  return {
    name: "accept-unknown",
    level: "error",
    says: "`accept` names no rule that can be accepted, so what its author meant to accept is not what is written.",
    fix: "name a rule as `mayfly check` does; `mayfly check --list-rules` has them all, and an error cannot be accepted",
    check: (linted) => acceptedIn(linted).flatMap((name) => unknownAccept(name, names())),
  };
}

function unknownAccept(name: string, rules: ReadonlyMap<string, Rule["level"]>): readonly Finding[] {
  const level = rules.get(name);
  if (level !== undefined && level !== "error") return [];
  const near = slipOf(name, [...rules.keys()]);
  const message = level === "error" ? `${name} is an error, which cannot be accepted` : `there is no rule ${name}`;
  return [{ path: ["accept", name], message, ...(near === undefined ? {} : { fix: `did you mean ${near}?` }) }];
}

/** Not judged by the rule itself, since only all findings of a file say whether an acceptance was needed. */
export const acceptIdle: Rule = {
  name: "accept-idle",
  level: "advice",
  says: "A risk is accepted that is not there (any more): the next change could bring it back without anybody being asked.",
  fix: "take the line out of 'accept'",
  check: () => [],
};

/** Rules that only speak where the day is known. */
const byDay: readonly string[] = ["observe-past", "observe-long"];

interface Known {
  readonly now: Instant | undefined;
  readonly levelOf: (name: string) => Rule["level"] | undefined;
}

/** One for each line of an `accept` whose rule found nothing in any template of that file. */
export function idleAccepts(
  drafts: readonly Draft[],
  fired: ReadonlyMap<TemplateDocument, ReadonlySet<string>>,
  { now, levelOf }: Known,
): readonly Problem[] {
  const files = new Map(drafts.filter(({ template }) => template.who.length > 0).map((draft) => [draft.document, draft]));
  return [...files.values()].flatMap(({ written, document }) =>
    acceptedIn({ written })
      .filter((name) => fired.get(document)?.has(name) !== true && !(now === undefined && byDay.includes(name)))
      .filter((name) => levelOf(name) !== undefined && name !== acceptIdle.name)
      .map((name) => ({
        ...document.problem(["accept", name], `${name} finds nothing here`, acceptIdle.fix),
        rule: acceptIdle.name,
        level: acceptIdle.level,
      })),
  );
}

function acceptedIn({ written }: Pick<Linted, "written">): readonly string[] {
  const accept = member(written, "accept");
  return typeof accept === "object" && accept !== null ? Object.keys(accept) : [];
}
