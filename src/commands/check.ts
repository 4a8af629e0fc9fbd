import { resolve } from "node:path";
import { Command } from "commander";
import { exitOf } from "../api/codes.ts";
import { type Problem, problemText } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import { jsonFlag } from "./reach.ts";
import { configFlag, configFrom, readTemplates, type TemplateFlags } from "./templates.ts";

interface CheckFlags extends TemplateFlags {
  readonly json?: boolean;
}

const examples = `
Examples:
  $ mayfly check
  $ mayfly check templates --config deploy/mayfly.yaml
  $ mayfly check templates --json | jq '.problems[] | .file, .line'`;

export function checkCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("check")
    .summary("check templates before a broker reads them")
    .description("Reads a folder of templates as the broker would, and lists every problem with its place. Contacts nobody.")
    .argument("[folder]", "the templates (default: MAYFLY_TEMPLATES, else what mayfly.yaml names)")
    .option(...configFlag)
    .option(...jsonFlag)
    .addHelpText("after", examples)
    .action((folder: string | undefined, flags: CheckFlags) => check(io, types, folder, flags));
}

async function check(io: Io, types: LoadCatalogue, given: string | undefined, flags: CheckFlags): Promise<void> {
  const config = configFrom(io, flags);
  const folder = given === undefined ? config.templates : resolve(io.cwd, given);
  const compiled = await readTemplates(io, types, { config, folder });
  if (compiled.kind === "problems") return complain(io, compiled.problems, flags);
  const { digest, templates } = compiled.policy;
  if (flags.json === true) printJson(io, { ok: true, digest, templates: [...templates.keys()], problems: [] });
  else print(io, `${templates.size === 1 ? "1 template" : `${templates.size} templates`} in ${folder}: policy ${digest}`);
}

/** The problems are the data here, so that an editor or a CI system can read them. */
function complain(io: Io, problems: readonly Problem[], { json }: CheckFlags): void {
  if (json === true) printJson(io, { ok: false, problems });
  else for (const problem of problems) print(io, problemText(problem));
  say(
    io,
    `mayfly: ${problems.length === 1 ? "1 problem" : `${problems.length} problems`}: a broker would not load these templates`,
  );
  io.exit(exitOf("policy-invalid"));
}
