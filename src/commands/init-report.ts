import { relative, resolve } from "node:path";
import type { Snippet } from "./init-snippets.ts";
import type { ExistingJob } from "./init-workflows.ts";
import type { Io } from "./io.ts";
import { print, printJson, say } from "./output.ts";
import type { WrittenIssuer } from "./stand-in-config.ts";

export interface Made {
  readonly name: string;
  readonly files: readonly string[];
  /** Its name in mayfly.yaml. */
  readonly issuer: string;
  /** What somebody must write into mayfly.yaml for it; undefined where nobody has to. */
  readonly lacking: WrittenIssuer | undefined;
  readonly snippet: Snippet;
  readonly jobs: readonly ExistingJob[];
  readonly check: string;
}

/** The pipeline's lines are the data; the rest is said to a person. */
export function report(io: Io, { name, files, issuer, lacking, snippet, jobs, check }: Made, json: boolean): void {
  const { place, text } = snippet;
  const wanted = lacking === undefined ? null : { issuers: { [issuer]: lacking } };
  if (json) {
    const data = { template: name, issuer, files, check, place, snippet: text, jobs, mayfly_yaml: wanted };
    return printJson(io, data);
  }
  say(io, ...files.map((file) => `wrote ${relative(io.cwd, file) || file}`));
  if (lacking !== undefined) {
    say(io, "mayfly.yaml needs this issuer, where it has it not yet, with what is its own where example.com or zeros stand:");
    say(io, "  issuers:", `    ${issuer}: ${JSON.stringify(lacking)}`);
  }
  say(io, `next: ${check}`);
  say(io, ...jobLines(name, jobs));
  say(io, `and ${jobs.length === 0 ? "" : "as a job of its own, "}for ${place}:`);
  print(io, ...text.split("\n"));
}

/** Which of them deploys is for a person to say. */
function jobLines(template: string, jobs: readonly ExistingJob[]): readonly string[] {
  if (jobs.length === 0) return [];
  return [
    `then put \`mayfly run --template ${template} --\` before the command that needs the credentials; these jobs are there, and what each lacks:`,
    ...jobs.map(({ file, job, lacks }) => `  ${file}: ${job}: ${lacks.join("; ") || "nothing"}`),
  ];
}

/** What to run next, from where the command was run. */
export function checkLine(io: Io, out: string, config: string | undefined): string {
  const words = ["mayfly", "check", "--strict", "--test", relative(io.cwd, out) || "."];
  const named = config === undefined ? [] : ["--config", relative(io.cwd, resolve(io.cwd, config))];
  return [...words, ...named].map((word) => (/^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}
