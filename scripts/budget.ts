import { execFileSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";

/** The last line of `npm run check`: how big the house is. A rise needs a sentence in the commit. */
const trustedCore = ["identity", "policy", "lease", "masking"];

/** Rooms within policy that decide nothing: they advise, describe or look back. */
const besideTheCore = /^src\/policy\/(lint|schema|cases|replay|suggest)\//;

function lines(pattern: string, without = /^src\/api\/gen\//): number {
  return globSync(pattern)
    .filter((file) => !without.test(file))
    .reduce((sum, file) => sum + readFileSync(file, "utf8").split("\n").length - 1, 0);
}

/** oxlint knows how long a function is: it is asked to complain about every one, and the longest is taken. */
function longestFunction(): { readonly count: number; readonly where: string } {
  const rules = [
    "--config",
    "scripts/longest-function.json",
    "--ignore-pattern",
    "src/api/gen",
    "--format",
    "json",
    "src",
    "providers",
  ];
  const report = JSON.parse(outputOf("oxlint", rules)) as { diagnostics: { message: string; filename: string }[] };
  const lengths = report.diagnostics.flatMap(({ message, filename }) => {
    const [, name, count] = /^The (.+) has too many lines \((\d+)\)/.exec(message) ?? [];
    return count === undefined ? [] : [{ count: Number(count), where: `${filename}, ${name}` }];
  });
  return lengths.reduce((longest, one) => (one.count > longest.count ? one : longest), { count: 0, where: "none" });
}

/** Of a linter that exits 1 because it found what it was told to look for. */
function outputOf(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, { encoding: "utf8", maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "inherit"] });
  } catch (error) {
    if (error instanceof Error && "stdout" in error && typeof error.stdout === "string") return error.stdout;
    throw error;
  }
}

const core = trustedCore.reduce((sum, room) => sum + lines(`src/${room}/**/*.ts`, besideTheCore), 0);
const { dependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };
const longest = longestFunction();
console.log(
  `size: ${lines("src/**/*.ts")} lines in src, ${core} of them in the trusted core (${trustedCore.join(" + ")}); ` +
    `${Object.keys(dependencies).length} direct dependencies; longest function ${longest.count} lines (${longest.where})`,
);
