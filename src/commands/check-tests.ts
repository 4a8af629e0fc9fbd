import { readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { issuerWords } from "../identity/issuers/issuer-words.ts";
import { compileProfiles } from "../identity/issuers/issuers.ts";
import type { Profile } from "../identity/profile.ts";
import { supposedClaims, supposedIdentity } from "../identity/supposed.ts";
import { type PolicyTest, readTests } from "../policy/cases/cases.ts";
import { type Believed, judge } from "../policy/cases/verdict.ts";
import type { TemplateSource } from "../policy/language/document.ts";
import { type Problem, policyInvalid } from "../policy/problem.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { reportTests, type TestRun } from "./check-tests-report.ts";
import { wanting } from "./check-text.ts";
import type { Io } from "./io.ts";
import { readTemplates } from "./templates.ts";

interface Tested {
  readonly config: Config;
  /** The templates; their tests stand beside them. */
  readonly folder: string;
  readonly flags: { readonly json?: boolean };
}

/**
 * `mayfly check --test`: runs every NAME.test.yaml of the folder against its templates, and fails by exit code where one does not hold,
 * where one cannot be read, and where there is none. Throws `policy-invalid` where the templates themselves do not load.
 */
export async function checkTests(io: Io, types: LoadCatalogue, { config, folder, flags }: Tested): Promise<void> {
  const run = await testRun(io, types, { config, folder });
  reportTests(io, run, flags.json === true);
  const failed = run.problems.length > 0 || run.verdicts.some(({ differences }) => differences.length > 0);
  if (failed || run.verdicts.length === 0) io.exit(wanting);
}

async function testRun(io: Io, types: LoadCatalogue, from: Pick<Tested, "config" | "folder">): Promise<TestRun> {
  const compiled = await readTemplates(io, types, from);
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  const { policy } = compiled;
  const profiles = compileProfiles(from.config.issuers, (path) => readFileSync(path, "utf8"));
  const issuers = issuerWords(from.config.issuers);
  const problems: Problem[] = [];
  const tests = (await testSources(from.folder, problems)).flatMap((source) => testsOf(source, issuers, problems));
  const now = io.clock.now();
  const verdicts = tests.flatMap((test) => {
    const profile = profileOf(test, profiles, problems);
    return profile === undefined ? [] : [judge(test, { policy, believed: believedIn(test, profile, now), now })];
  });
  const granted = new Set(tests.flatMap(({ expect }) => (expect.kind === "granted" ? [expect.template] : [])));
  return { verdicts, problems, untested: [...policy.templates.keys()].filter((name) => !granted.has(name)) };
}

function testsOf(source: TemplateSource, issuers: ReturnType<typeof issuerWords>, problems: Problem[]): readonly PolicyTest[] {
  const read = readTests(source, issuers);
  if (!("problems" in read)) return read;
  problems.push(...read.problems);
  return [];
}

function profileOf({ file, line, issuer }: PolicyTest, profiles: readonly Profile[], problems: Problem[]): Profile | undefined {
  const profile = profiles.find(({ name }) => name === issuer);
  if (profile !== undefined) return profile;
  const fix = `it has ${profiles.map(({ name }) => name).join(", ")}`;
  problems.push({ ...flaw(file, `mayfly.yaml has no issuer ${issuer}`), line, key: "issuer", fix });
  return undefined;
}

/** A token that the verifier would refuse is a denial too, and a test can expect it. */
function believedIn({ claims, at }: PolicyTest, profile: Profile, now: number): Believed {
  try {
    return { identity: supposedIdentity(supposedClaims(claims, profile), profile, at ?? now) };
  } catch (error) {
    if (error instanceof BrokerError) return { refused: error };
    throw error;
  }
}

const deepest = 8;
const largest = 262_144;

/** In the order of their names. A test without its template is a problem: it would be left behind by a rename and never noticed. */
async function testSources(folder: string, problems: Problem[], below = ""): Promise<readonly TemplateSource[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  const sources: TemplateSource[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = join(below, entry.name);
    if (entry.name.startsWith(".")) continue;
    if (entry.isDirectory() && file.split("/").length <= deepest) sources.push(...(await testSources(folder, problems, file)));
    if (!entry.isFile() || !entry.name.endsWith(".test.yaml")) continue;
    const text = await testText(join(folder, file));
    if (text === undefined) problems.push(flaw(file, "longer than 256 KiB"));
    else if (!names.includes(entry.name.replace(/\.test\.yaml$/, ".yaml")))
      problems.push({
        ...flaw(file, "stands beside no template"),
        fix: "call it as its template is, NAME.test.yaml for NAME.yaml",
      });
    else sources.push({ file, text });
  }
  return sources;
}

async function testText(path: string): Promise<string | undefined> {
  return (await stat(path)).size > largest ? undefined : readFile(path, "utf8");
}

function flaw(file: string, message: string): Problem {
  return { rule: "invalid", level: "error", file, line: 0, key: "", message, fix: undefined };
}
