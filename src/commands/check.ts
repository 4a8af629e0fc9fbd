import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import type { Compiled } from "../policy/language/compile.ts";
import type { Problem } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { lastWordProblems } from "./check-last-word.ts";
import { sarifOf } from "./check-sarif.ts";
import { countsOf, problemLines, ruleLines, rulesAsData, wanting } from "./check-text.ts";
import type { Io } from "./io.ts";
import { numbered, print, printJson, say } from "./output.ts";
import { jsonFlag, socketFlag } from "./reach.ts";
import { configFlag, configFrom, readTemplates, type TemplateFlags } from "./templates.ts";

interface CheckFlags extends TemplateFlags {
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly strict?: boolean;
  readonly listRules?: boolean;
  readonly test?: boolean;
  readonly replay?: string;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly check
  $ mayfly check templates --config deploy/mayfly.yaml --strict
  $ mayfly check templates --test
  $ mayfly check templates --sarif > mayfly.sarif
  $ mayfly check templates --json | jq '.problems[] | .rule, .file, .line'
  $ mayfly check --replay 30d new-templates

Exits with 0 where all is good, with 1 where the templates, their tests or a replay are found wanting, and with 124 where nothing could be
checked: a wrong flag, no such folder, a mayfly.yaml that is missing or bad.
An error never loads, nor does a risk that its template does not accept by the rule's name; advice loads. Each rule is explained in docs/lint.md.
With --test it is found wanting where a test does not hold, cannot be read or stands beside no template, and where there is no test at all;
templates that no test lets anybody use are named, and that is all.
With --replay it is found wanting where anything would newly be allowed, denied, widened, lengthened or run
another command, and where that cannot be told, such as of requests whose own policy does not compile any more.`;

export function checkCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("check")
    .summary("check templates before a broker reads them")
    .description(
      "Reads a folder of templates as the broker would, and lists every problem with its place, those of the last word's bundle too where this machine has it. Contacts nobody, but for --replay.",
    )
    .argument("[folder]", "the templates (default: MAYFLY_TEMPLATES, else what mayfly.yaml names)")
    .option(...configFlag)
    .option("--strict", "fail on advice too")
    .option("--test", "run the tests beside the templates as well")
    .addOption(
      new Option(
        "--replay <span>",
        "decide the requests recorded in this span again, such as 30d, and list what would come out otherwise",
      ).conflicts("test"),
    )
    .option(...socketFlag)
    .option("--list-rules", "print every rule and leave")
    .addOption(new Option("--sarif", "print SARIF 2.1.0, for code scanning").conflicts(["json", "test", "replay"]))
    .option(...jsonFlag)
    .addHelpText("after", examples)
    .action((folder: string | undefined, flags: CheckFlags) => check(io, types, folder, flags));
}

async function check(io: Io, types: LoadCatalogue, given: string | undefined, flags: CheckFlags): Promise<void> {
  if (flags.listRules === true) return flags.json === true ? printJson(io, rulesAsData()) : print(io, ...ruleLines());
  const config = configFrom(io, flags);
  const folder = given === undefined ? config.templates : resolve(io.cwd, given);
  if (!existsSync(`${folder}/.`))
    throw new BrokerError("usage", `${folder} is no folder that can be read`, { hint: "name the folder of the templates" });
  const from = { config, folder, flags };
  if (!goesOn(await checkFolder(io, types, from), flags)) return sayUndone(io, flags);
  if (flags.replay !== undefined) {
    const { checkReplay } = await import("./check-replay.ts");
    return checkReplay(io, types, { ...from, span: flags.replay });
  }
  if (flags.test !== true) return;
  const { checkTests } = await import("./check-tests.ts");
  return checkTests(io, types, from);
}

function sayUndone(io: Io, { test, replay }: CheckFlags): void {
  if (test === true) say(io, "mayfly: so no test was run");
  if (replay !== undefined) say(io, "mayfly: so nothing was replayed");
}

/** Tests are run where `--strict` failed on advice alone, too; but two JSON documents would be none. */
function goesOn({ loads, failed }: { readonly loads: boolean; readonly failed: boolean }, { test, json }: CheckFlags): boolean {
  return loads && (!failed || (test === true && json !== true));
}

/** How they are, as far as the folder alone tells: no test is run and nothing replayed by templates that do not load. */
async function checkFolder(
  io: Io,
  types: LoadCatalogue,
  { config, folder, flags }: { readonly config: Config; readonly folder: string; readonly flags: CheckFlags },
): Promise<{ readonly loads: boolean; readonly failed: boolean }> {
  const compiled = withProblems(await readTemplates(io, types, { config, folder }), await lastWordProblems(io, config));
  const loads = compiled.kind === "policy";
  const problems = loads ? compiled.findings : compiled.problems;
  const failed = !loads || (flags.strict === true && problems.length > 0);
  if (failed) io.exit(wanting);
  // What comes then has a summary of its own, and two JSON documents would be none.
  const left = !failed && (flags.replay !== undefined || (flags.test === true && flags.json === true));
  if (!left) report(io, { compiled, problems, failed, folder }, flags);
  return { loads, failed };
}

/** The templates and the last word come into force together, or neither does. */
function withProblems(compiled: Compiled<unknown, unknown>, more: readonly Problem[]): Compiled<unknown, unknown> {
  if (more.length === 0) return compiled;
  return { kind: "problems", problems: [...(compiled.kind === "policy" ? compiled.findings : compiled.problems), ...more] };
}

interface Checked {
  readonly compiled: Compiled<unknown, unknown>;
  readonly problems: readonly Problem[];
  readonly failed: boolean;
  readonly folder: string;
}

/** The problems are the data here, so that an editor or a CI system can read them. */
function report(io: Io, { compiled, problems, failed, folder }: Checked, flags: CheckFlags): void {
  const policy = compiled.kind === "policy" ? compiled.policy : undefined;
  if (flags.sarif === true) return printJson(io, sarifOf(problems, { folder, cwd: io.cwd }));
  if (flags.json === true) {
    const read = policy === undefined ? {} : { digest: policy.digest, templates: [...policy.templates.keys()] };
    return printJson(io, { ok: !failed, ...read, problems });
  }
  if (problems.length > 0) print(io, ...problemLines(problems));
  if (policy !== undefined) print(io, `${numbered(policy.templates.size, "template")} in ${folder}: policy ${policy.digest}`);
  if (problems.length > 0) say(io, `mayfly: ${summary(problems, policy !== undefined)}`);
}

function summary(problems: readonly Problem[], loads: boolean): string {
  const what = loads ? countsOf(problems) : `${numbered(problems.length, "problem")} (${countsOf(problems)})`;
  return loads ? what : `${what}: a broker would not load these templates`;
}
