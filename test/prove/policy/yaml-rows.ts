import { type Found, type Trial, Wrong } from "./part.ts";

/** What makes a file mean something else than it shows (hardening P-10 to P-13, P-23): a text each, and all of them must be refused. */
const good = `version: 1
template: plain
who:
  issuer: ci
  repository_id: "519283746"
  trust: protected
  ref: refs/heads/main
credentials:
  db:
    provider: vault-main
    path: database/creds/shop-read
    ttl: 5m
sandbox:
  timeout: 5m
`;

function swapped(line: string, other: string): string {
  if (!good.includes(line)) throw new Error(`no line ${line}`);
  return good.replace(line, other);
}

const id = '"519283746"';

function bombs(): readonly string[] {
  const levels = (count: number, of: (nth: number) => string): string =>
    Array.from({ length: count }, (_, nth) => of(nth)).join("");
  const billion = `a0: &a0 [x, x, x, x, x, x, x, x, x]\n${levels(12, (nth) => `a${nth + 1}: &a${nth + 1} [${`*a${nth}, `.repeat(9)}]\n`)}`;
  const maps = `b0: &b0 { k: v }\n${levels(12, (nth) => `b${nth + 1}: &b${nth + 1} { ${levels(9, (key) => `k${key}: *b${nth}, `)} }\n`)}`;
  const merges = `m0: &m0 { k: v }\n${levels(12, (nth) => `m${nth + 1}: &m${nth + 1} { <<: [${`*m${nth}, `.repeat(9)}] }\n`)}`;
  return [
    billion + good,
    good + billion,
    maps + good,
    merges + good,
    `loop: &loop [*loop]\n${good}`,
    `loop: &loop { again: *loop }\n${good}`,
    swapped(id, '&id "519283746"'),
    `${swapped(id, "*id")}x: &id "519283746"\n`,
  ];
}

/** No bombs, and all that a file of 256 KiB can hold: deep, wide, or full of what has to be undone. */
function heaps(): readonly string[] {
  const levels = (count: number, of: (nth: number) => string): string =>
    Array.from({ length: count }, (_, nth) => of(nth)).join("");
  return [
    `${good}x: ${"[".repeat(5_000)}\n`,
    `${good}x: ${"[".repeat(5_000)}${"]".repeat(5_000)}\n`,
    `${good}x: ${"{ a: ".repeat(5_000)}1${" }".repeat(5_000)}\n`,
    `${good}${levels(2_000, (nth) => `${" ".repeat(nth)}a:\n`)}`,
    `${good}? ${"? ".repeat(5_000)}\n`,
    `${good}x: ${"!!seq ".repeat(2_000)}[]\n`,
    `${good}x: "${"\\x41".repeat(60_000)}"\n`,
    `${good}# ${"y".repeat(300_000)}\n`,
    `${good}${levels(20_000, (nth) => `k${nth}: 1\n`)}`,
    `${good}${levels(20_000, () => "k: 1\n")}`,
  ];
}

/** An id that nobody quoted: YAML reads it as something that prints otherwise, or as no text at all. */
const mistyped = [
  "519283746",
  "no",
  "yes",
  "off",
  "true",
  "null",
  "~",
  "",
  "0400",
  "0123",
  "0o17",
  "0x1F",
  "1e3",
  "1_000",
  "+1",
  "-1",
  "1.0",
  ".5",
  ".inf",
  "-.inf",
  ".nan",
  "12345678901234567890",
  "2026-11-23",
  "190:20:30",
  "[]",
  "{}",
  "[[a]]",
  "{ a: b }",
  "[null]",
  "[1]",
  "!!str 519283746",
  '!!int "519283746"',
  "!!binary NTE5MjgzNzQ2",
  "|\n    519283746",
  ">-\n    519283746",
]
  .filter((text) => !["|", ">"].includes(text.charAt(0)))
  // `no`, `yes` and `off` are text in YAML 1.2, and so are dates and sexagesimals: as an id of their own they say what they show.
  .filter((text) => !["no", "yes", "off", "1_000", "2026-11-23", "190:20:30", "true"].includes(text));

const lives = [
  "-1",
  "0",
  "1e9",
  '"15m "',
  '" 15m"',
  "NaN",
  ".nan",
  "2147483648",
  '"2147483648ms"',
  '"0s"',
  '"-5m"',
  '"1.5m"',
  '"15"',
  '"15M"',
  '"999999999d"',
  "5",
  '"5 m"',
  '"5m5s"',
  '"٥m"',
  '"5m\\n"',
  "[5m]",
  "{ m: 5 }",
  "null",
  "true",
  '"25h"',
  '"1e1m"',
  '"0x5m"',
  '"5m\\0"',
];

const spellings: readonly string[] = [
  `\uFEFF${good}`,
  `\uFFFE${good}`,
  `${good}---\n${good}`,
  `${good}...\n---\n${good}`,
  `---\n---\n${good}`,
  `%YAML 1.1\n---\n${good}`,
  `%YAML 1.2\n---\n${good}`,
  `%TAG ! tag:example.com,2026:\n---\n${good}`,
  `${good}version: 1\n`,
  `${good}who: { issuer: ci, repository_id: "42" }\n`,
  swapped("  ref: refs/heads/main\n", '  ref: refs/heads/main\n  "ref": refs/heads/dev\n'),
  swapped("  ref: refs/heads/main\n", "  ref: refs/heads/main\n  'ref': refs/heads/dev\n"),
  swapped("    ttl: 5m\n", "    ttl: 5m\n    ttl: 10m\n"),
  swapped("who:\n", "who: !!map\n"),
  swapped("who:\n", "who: !<tag:example.com,2026:who>\n"),
  swapped("who:\n", "who: &who\n"),
  `!!map\n${good}`,
  swapped("refs/heads/main", "!!js/function 'function () {}'"),
  swapped("refs/heads/main", "!!python/object/apply:os.system [id]"),
  swapped("refs/heads/main", "!include /etc/passwd"),
  swapped("  ref: refs/heads/main\n", "  <<: { ref: refs/heads/main }\n"),
  swapped("  ref: refs/heads/main\n", "  '<<': { ref: refs/heads/main }\n"),
  swapped("  ref: refs/heads/main\n", "  ? [ref]\n  : refs/heads/main\n"),
  swapped("  ref: refs/heads/main\n", "  ? { ref: 1 }\n  : refs/heads/main\n"),
  swapped("  ref: refs/heads/main\n", "\tref: refs/heads/main\n"),
  swapped("  ref: refs/heads/main\n", "  ref:\n\t- refs/heads/main\n"),
  ...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "nosuch", "Version", "template ", "who.ref"].map(
    (key) => `${good}"${key}": { polluted: true }\n`,
  ),
  ...["__proto__"].flatMap((key) => [
    swapped("  ref: refs/heads/main\n", `  "${key}": { ref: refs/heads/main }\n`),
    swapped("  ref: refs/heads/main\n", `  ref: refs/heads/main\n  not: { "${key}": x }\n`),
    swapped("  db:\n", `  "${key}":\n`),
    swapped("    ttl: 5m\n", `    ttl: 5m\n    "${key}": { polluted: true }\n`),
    swapped("  timeout: 5m\n", `  timeout: 5m\n  "${key}": { polluted: true }\n`),
  ]),
  ...["constructor", "prototype", "toString"].flatMap((key) => [
    swapped("    ttl: 5m\n", `    ttl: 5m\n    ${key}: { polluted: true }\n`),
    swapped("  timeout: 5m\n", `  timeout: 5m\n  ${key}: { polluted: true }\n`),
  ]),
  "",
  "\n",
  "# nothing\n",
  "---\n",
  "null\n",
  "[]\n",
  "version: 1\n",
  "just text\n",
  good.slice(0, 60),
  good.slice(0, 100),
  `${good}\0`,
  good.replace("refs/heads/main", '"refs/heads/main'),
  good.replace("  issuer: ci\n", ""),
  good.replace('  repository_id: "519283746"\n', ""),
];

/** What looks odd and says just what it shows. */
const controls: readonly string[] = [
  good,
  `# yaml-language-server: $schema=../docs/schema/template.schema.json\n${good}`,
  good.replaceAll("\n", "\r\n"),
  `---\n${good}`,
  `${good}...\n`,
  swapped('"519283746"', "'519283746'"),
  swapped("refs/heads/main", '"refs/heads/main"'),
  JSON.stringify({
    version: 1,
    template: "plain",
    who: { issuer: "ci", repository_id: "519283746", trust: "protected" },
    sandbox: { timeout: "5m" },
  }),
];

/** Milliseconds: of a bomb, which is small, by hardening P-10; and of whatever is as large as a file may be. */
const bars = { bombs: 50, others: 500 } as const;

/** Every row is refused, within its time, and what a row had in it is nowhere afterwards. */
export function yamlRows(trial: Trial): Found {
  const wrong = new Wrong(trial);
  const others = [
    ...heaps(),
    ...mistyped.map((text) => swapped(id, text)),
    ...lives.map((text) => swapped("ttl: 5m", `ttl: ${text}`)),
    ...spellings,
  ];
  const about = (text: string) => (): string => JSON.stringify(text.slice(0, 300));
  const slowest = (rows: readonly string[], bar: number): number =>
    Math.max(
      ...rows.map((text) => {
        const took = refusal(trial, text, wrong);
        if (took > bar) wrong.add("slow", () => `${took.toFixed(0)} ms for ${about(text)()}`);
        return took;
      }),
    );
  // What is compiled later would not be a bomb's doing.
  for (const text of spellings) refusal(trial, text, new Wrong({ note: () => undefined }));
  const [bomb, other] = [slowest(bombs(), bars.bombs), slowest(others, bars.others)];
  for (const text of controls)
    if (trial.subject.compile([{ file: "plain.yaml", text }]).kind !== "policy") wrong.add("controls refused", about(text));
  if ("polluted" in {}) wrong.add("polluted", () => "an object that nobody touched has a member of a template");
  const count = bombs().length + others.length;
  return {
    claim: `${count} rows of YAML that means something else than it shows, ${wrong.count("loaded", "thrown")} loaded, the slowest bomb refused in ${bomb.toFixed(0)} ms and the slowest 256 KiB in ${other.toFixed(0)} ms, ${controls.length - wrong.count("controls refused")} of ${controls.length} controls loaded`,
    held: wrong.count() === 0,
    figures: {
      yamlRows: count,
      yamlLoaded: wrong.count("loaded"),
      yamlSlowestBombMilliseconds: Math.round(bomb),
      yamlSlowestMilliseconds: Math.round(other),
    },
  };
}

/**
 * How long it took, in milliseconds: the best of three, and the processor's time where others kept it waiting, since a machine that does
 * other things must not count against it.
 */
function refusal({ subject }: Trial, text: string, wrong: Wrong): number {
  let best = Number.POSITIVE_INFINITY;
  for (let times = 0; times < 3 && best > 20; times++) {
    const [began, used] = [performance.now(), process.cpuUsage()];
    try {
      if (subject.compile([{ file: "plain.yaml", text }]).kind === "policy")
        wrong.add("loaded", () => JSON.stringify(text.slice(0, 300)));
    } catch (error) {
      wrong.add("thrown", () => `${String(error).slice(0, 200)} for ${JSON.stringify(text.slice(0, 100))}`);
    }
    const { user, system } = process.cpuUsage(used);
    best = Math.min(best, performance.now() - began, (user + system) / 1_000);
  }
  return best;
}
