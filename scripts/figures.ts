import { globSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { z } from "zod";

/*
 * The README's table of figures, made from `bench/results`: `npm run figures` writes it, and a test compares the two.
 */
const proof = z.object({ room: z.string(), size: z.string(), claim: z.string(), held: z.boolean(), commit: z.string() });
const bench = z.object({
  bench: z.string(),
  commit: z.string(),
  results: z.array(
    z.union([
      z.object({ name: z.string(), ratios: z.record(z.string(), z.number()) }),
      z.object({ name: z.string(), figures: z.record(z.string(), z.number()) }),
    ]),
  ),
});

export function figures(): string {
  const files = globSync("bench/results/*.json").sort();
  const rows = files.flatMap((file) => rowsOf(JSON.parse(readFileSync(file, "utf8"))));
  return ["| what | figure |", "| --- | --- |", ...rows, ""].join("\n");
}

function rowsOf(result: unknown): readonly string[] {
  const proved = proof.safeParse(result);
  if (proved.success)
    return [
      `| \`npm run prove -- ${proved.data.room} --size ${proved.data.size}\` | ${proved.data.held ? "" : "does not hold: "}${proved.data.claim} |`,
    ];
  const { bench: name, results } = bench.parse(result);
  return results.map((one) => `| \`npm run bench -- ${name}\`: ${one.name} | ${words(one).join("; ")} |`);
}

type Result = z.output<typeof bench>["results"][number];

/** A race tells ratios; what measured itself tells each of its figures. */
function words(one: Result): readonly string[] {
  if ("ratios" in one) return Object.entries(one.ratios).map(([than, ratio]) => `${written(ratio)} times ${than}`);
  return Object.entries(one.figures).map(([what, figure]) => `${what}: ${written(figure)}`);
}

function written(ratio: number): string {
  return ratio.toPrecision(2);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const readme = readFileSync("README.md", "utf8");
  writeFileSync(
    "README.md",
    readme.replace(
      /(<!-- figures -->\n)[\s\S]*?(<!-- \/figures -->)/,
      (_, open: string, close: string) => `${open}${figures()}${close}`,
    ),
  );
}
