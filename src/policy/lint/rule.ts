import type { Path } from "../language/document.ts";
import type { Template } from "../policy.ts";
import type { Level } from "../problem.ts";
import type { IsolationFacts, IssuerRoom, ProviderRoom, Rooms } from "../rooms.ts";
import type { Clashes } from "./contradiction.ts";
import type { WholePolicy } from "./policy-view.ts";
import type { Run } from "./run-view.ts";
import type { ScopeText } from "./scope-view.ts";
import type { PlacedLine } from "./who-view.ts";

/** One thing that a security team should not have to find by reading. */
export interface Rule {
  /** `shared-host-wildcard`; never reused for another meaning, since templates accept risks by it. */
  readonly name: string;
  readonly level: Level;
  /** One sentence: what is wrong, and what an attacker or an accident makes of it. */
  readonly says: string;
  /** What to write instead. */
  readonly fix: string;
  /** Every place where it is so. Pure. Asked of bases too, whose `who` is empty. */
  check(linted: Linted): readonly Finding[];
}

export interface Finding {
  /** In the template as it is written, so that the line can be found. */
  readonly path: Path;
  /** With this template's own words; lower case, no full stop. */
  readonly message: string;
  /** Where it differs from the rule's own. */
  readonly fix?: string;
}

/** What a rule sees: one template in its final form, and all the others. */
export interface Linted {
  readonly template: Template<unknown, unknown>;
  /** The file's plain value, before `extends`, `for_each` and defaults. */
  readonly written: Readonly<Record<string, unknown>>;
  /** The file itself. */
  readonly text: string;
  readonly rooms: Rooms<unknown, unknown>;
  /** The claims that `who` asks for or excludes, those in the alternatives of `any` too. */
  readonly lines: readonly PlacedLine[];
  /** Of those that `who` names. */
  readonly issuers: readonly IssuerRoom[];
  /** Asked for by two rules, and found once. */
  readonly clashes: Clashes;
  /** What a run can be: one for each step, or the only one. */
  readonly runs: readonly Run[];
  /** How each credential ends, by its name. */
  readonly endings: ReadonlyMap<string, ReturnType<ProviderRoom["ends"]>>;
  /** Every text in what each credential asks of its provider. */
  readonly scopes: ReadonlyMap<string, readonly ScopeText[]>;
  /** What jobs are held by: most of them first, then those of each trust that has its own. */
  readonly isolations: readonly { readonly path: Path; readonly facts: IsolationFacts }[];
  readonly policy: WholePolicy;
}
