import { expandedLine, fetches } from "./command.ts";
import type { Rule } from "./rule.ts";
import { runName, runsWithCredentials } from "./run-view.ts";
import { productionWord } from "./words.ts";

/** What runs beside the credentials. */
export const stepRules: readonly Rule[] = [
  {
    name: "unpinned-command",
    level: "advice",
    says: "Whatever the runner asks for is run with these credentials: a changed workflow file is enough to use them for something else.",
    fix: "pin the step's command: run: [./deploy.sh]",
    check: (linted) =>
      runsWithCredentials(linted)
        .filter(({ command, step }) => command === undefined && (step !== undefined || productionWord(linted) !== undefined))
        .map((run) => ({
          path: run.path.length === 0 ? ["credentials"] : run.path,
          message: `${runName(run)} gets ${run.credentials.map(({ name }) => name).join(", ")} with any command`,
        })),
  },
  {
    name: "rw-beside-pinned",
    level: "advice",
    says: "A step that only uses what others built may also change it: what it leaves in the workspace runs in the next step, or in the next job.",
    fix: "add `workspace: read-only`, or `overlay` where it writes for itself",
    check: (linted) =>
      runsWithCredentials(linted)
        .filter(({ command, workspace }) => command !== undefined && workspace === "rw")
        .map((run) => ({ path: run.path, message: `${runName(run)} has credentials and may write the workspace` })),
  },
  {
    name: "shell-in-command",
    level: "risk",
    says: "The pinned command is a shell's line with a variable in it: what the runner passes as environment decides what is run.",
    fix: "pin a program and its arguments, or a script",
    check: (linted) =>
      runsWithCredentials(linted)
        .map((run) => ({ run, line: expandedLine(run.command ?? []) }))
        .flatMap(({ run, line }) =>
          line === undefined ? [] : [{ path: [...run.path, "run"], message: `${runName(run)} expands ${cut(line)}` }],
        ),
  },
  {
    name: "command-from-network",
    level: "risk",
    says: "The pinned command fetches what it runs: whoever can change it there gets the credentials.",
    fix: "fetch it in a step without credentials, by digest or lock file, and run the file",
    check: (linted) =>
      runsWithCredentials(linted)
        .filter(({ command }) => command !== undefined && fetches(command))
        .map((run) => ({
          path: [...run.path, "run"],
          message: `${runName(run)} runs what it fetches: ${cut(run.command?.join(" ") ?? "")}`,
        })),
  },
];

const longestShown = 120;

function cut(text: string): string {
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
