import { readFileSync } from "node:fs";
import { diffLines } from "diff";
import { expect, it } from "vitest";
import type { Rule } from "../../../src/policy/lint/rule.ts";
import { themes } from "../../../src/policy/lint/rules.ts";
import { example } from "./site.ts";

const opening = `# What \`mayfly check\` finds

\`mayfly check\` reads templates as a broker does, and then looks for what the language allows and a security team would not. Each finding is by a
rule with a name, and each rule has a level:

| level | what comes of it |
| --- | --- |
| error | it can never be right: the templates do not load |
| risk | it is dangerous: the templates load only where theirs takes the risk, by the rule's name and with a reason |
| advice | it loads, and could be better; \`mayfly check --strict\` fails on it |

\`\`\`yaml
accept:
  static-secret: the vendor of this compiler sells licence keys and nothing else
\`\`\`

The reason is for reviewers and auditors, and stays in the policy's text beside the ledger. An advice can be accepted in the same way, and is then
not said again. A rule's name never comes to mean something else. \`mayfly check --list-rules\` prints this list, \`--json\` and \`--sarif\` print what was
found for programs. What is not the language at all is called \`invalid\`; [templates.md](templates.md) is the language.

Each rule has an example of what it finds (\`-\`) and of what to write instead (\`+\`). They are whole templates in \`test/policy/lint/examples\`, and a
test sees that the one is found by its rule alone and that in the other there is nothing to find. Beside them, in \`test/policy/lint/good\`, are
templates for every CI system in which there is nothing to find either.
`;

/** A page is for people: of an example that is too much by its length, the beginning of a line will do. */
const longestLine = 160;

/** The lines in which the two examples differ; where one is only there to be extended, as they are. */
function change(rule: string): string {
  const [bad, good] = (["bad", "good"] as const).map((which) => readFileSync(example(rule, which)[0] ?? "", "utf8"));
  const parts = diffLines(bad ?? "", good ?? "").filter(({ added, removed }) => added || removed);
  const lines = parts.flatMap(({ value, added }) =>
    value
      .trimEnd()
      .split("\n")
      .map((line) => (added ? "+ " : "- ") + line),
  );
  return lines.map((line) => (line.length > longestLine ? `${line.slice(0, longestLine)}…` : line)).join("\n");
}

function section(rule: Rule): string {
  const diff = change(rule.name);
  const shown = diff === "" ? "" : `\n\`\`\`diff\n${diff}\n\`\`\`\n`;
  return `### ${rule.name}\n\n**${rule.level}.** ${rule.says}\nInstead: ${rule.fix}.\n${shown}`;
}

it("docs/lint.md says what the rules do, with what their examples show (vitest -u writes it)", async () => {
  const page = themes.map(({ title, rules }) => `## ${title}\n\n${rules.map(section).join("\n")}`).join("\n");
  await expect(`${opening}\n${page}`).toMatchFileSnapshot("../../../docs/lint.md");
});
