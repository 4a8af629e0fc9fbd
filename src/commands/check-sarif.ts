import { join, relative } from "node:path";
import type { Rule } from "../policy/lint/rule.ts";
import { rules } from "../policy/lint/rules.ts";
import type { Level, Problem } from "../policy/problem.ts";

/**
 * The problems as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which code scanning of GitHub, GitLab and others reads.
 * Places are relative to where the command runs, since that is where a checkout is; templates elsewhere keep their name in their folder.
 */
export function sarifOf(problems: readonly Problem[], at: { readonly folder: string; readonly cwd: string }): unknown {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: { driver: { name: "mayfly", rules: described.map(descriptor) } },
        columnKind: "utf16CodeUnits",
        results: problems.map((problem) => result(problem, at)),
      },
    ],
  };
}

type Described = Pick<Rule, "name" | "level" | "says" | "fix">;

/** What is not the language at all is a rule of its own there. */
const invalid: Described = {
  name: "invalid",
  level: "error",
  says: "The file does not say what a template can say.",
  fix: "docs/templates.md is the language",
};

const described: readonly Described[] = [invalid, ...rules];

const severities = { error: "error", risk: "warning", advice: "note" } as const satisfies Readonly<Record<Level, string>>;

function descriptor({ name, level, says, fix }: Described): unknown {
  // A `helpUri` has to be absolute (section 3.49.12), and where this project's pages are read is nobody's but the reader's.
  const page = name === invalid.name ? "docs/templates.md" : `docs/lint.md#${name}`;
  const help = `${says}\n\nInstead: ${fix}.\n\nMore: ${page}`;
  return {
    id: name,
    shortDescription: { text: says },
    fullDescription: { text: says },
    help: { text: help, markdown: help },
    defaultConfiguration: { level: severities[level] },
    properties: { tags: ["security", level] },
  };
}

function result({ rule, level, file, line, key, message, fix }: Problem, at: Parameters<typeof sarifOf>[1]): unknown {
  const text = [key, message].filter((part) => part !== "").join(": ");
  return {
    ruleId: rule,
    ruleIndex: described.findIndex(({ name }) => name === rule),
    level: severities[level],
    message: { text: fix === undefined ? text : `${text}; ${fix}` },
    locations: [{ physicalLocation: { artifactLocation: { uri: uriOf(file, at) }, region: { startLine: Math.max(1, line) } } }],
  };
}

/** RFC 3986 section 4.2: a relative reference, whose first segment has no colon. */
function uriOf(file: string, { folder, cwd }: Parameters<typeof sarifOf>[1]): string {
  const path = file.startsWith("/") ? relative(cwd, file) : relative(cwd, join(folder, file));
  const within = path.startsWith("..") ? file.replace(/^\/+/, "") : path;
  return within.split("/").map(encodeURIComponent).join("/");
}
