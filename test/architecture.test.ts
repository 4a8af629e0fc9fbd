import { globSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";
import matrix from "./architecture.json" with { type: "json" };

interface Room {
  readonly room: string;
  readonly files: readonly string[];
  readonly may: readonly string[];
  readonly mayKnow: readonly string[];
}

interface Source {
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typesOnly: boolean;
}

const rooms: readonly Room[] = matrix.rooms;
const sources: readonly Source[] = globSync("{src,providers}/**/*.ts")
  .filter((path) => !path.startsWith("src/api/gen/"))
  .map((path) => ({ path, text: readFileSync(path, "utf8") }));

/** `src/policy/decide.ts` is `policy/decide`; a provider keeps its folder, `providers/vault`. */
function short(path: string): string {
  return path.replace(/^src\//, "").replace(/\.ts$/, "");
}

function importsOf({ path, text }: Source): readonly Import[] {
  const code = text.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const statements = code.matchAll(/\b(?:import|export)\s+(type\s+)?(?:([^"';]*?)\s+from\s+)?["'](\.{1,2}\/[^"']+)["']/g);
  const loads = code.matchAll(/(?:\bimport\(|new URL\()\s*["'](\.{1,2}\/[^"']+\.ts)["']/g);
  const to = (specifier: string) => short(normalize(join(path, "..", specifier)));
  return [
    ...[...statements].map(([, type, names, specifier]) => ({
      from: short(path),
      to: to(specifier ?? ""),
      typesOnly: type !== undefined || isTypesOnly(names ?? ""),
    })),
    ...[...loads].map(([, specifier]) => ({ from: short(path), to: to(specifier ?? ""), typesOnly: false })),
  ];
}

/** `{ type A, type B }`: nothing of it is left when the program runs. */
function isTypesOnly(names: string): boolean {
  const listed = /^\{([^}]*)\}$/.exec(names.trim())?.[1]?.split(",") ?? [""];
  const named = listed.map((name) => name.trim()).filter((name) => name !== "");
  return named.length > 0 && named.every((name) => name.startsWith("type "));
}

/** The room whose entry fits the file most closely. */
function roomOf(file: string): Room | undefined {
  const fits = (entry: string) => (entry.endsWith("/") ? file.startsWith(entry) : file === entry);
  const closest = (room: Room) => Math.max(...room.files.filter(fits).map((entry) => entry.length), -1);
  const [best] = rooms.filter((room) => closest(room) >= 0).toSorted((a, b) => closest(b) - closest(a));
  return best;
}

function brokenRules(files: readonly Source[]): readonly string[] {
  const homeless = files.map(({ path }) => short(path)).filter((file) => roomOf(file) === undefined);
  const crossed = files.flatMap(importsOf).flatMap((one) => verdict(one) ?? []);
  return [
    ...homeless.map((file) => `${file}.ts belongs to no room: say in test/architecture.json whom it may know`),
    ...crossed,
  ];
}

function verdict({ from, to, typesOnly }: Import): string | undefined {
  const [home, target] = [roomOf(from), roomOf(to)];
  if (home === undefined || home === target) return undefined;
  const named = (list: readonly string[]) => [to, target?.room ?? to].some((name) => list.includes(name));
  if (named(home.may) || (typesOnly && named(home.mayKnow))) return undefined;
  const crossing = named(home.mayKnow) ? "import more than types from" : "import";
  return `${from}.ts may not ${crossing} ${nameOf(to, target)}`;
}

function nameOf(file: string, room: Room | undefined): string {
  if (room === undefined) return `${file}, which belongs to no room`;
  return room.room === file ? file : `${room.room} (${file})`;
}

describe("who may know whom", () => {
  test("every import of the house is allowed by the matrix", () => {
    expect(brokenRules(sources)).toEqual([]);
  });

  test("and the imports were seen", () => {
    const seen = sources.flatMap(importsOf);
    expect(seen.length).toBeGreaterThan(sources.length);
    expect(seen.filter(({ typesOnly }) => typesOnly).length).toBeGreaterThan(10);
    expect(seen.filter(({ typesOnly }) => !typesOnly).length).toBeGreaterThan(10);
  });

  test.each([
    ["src/policy/p.ts", 'import { open } from "../ledger/sqlite.ts";', "policy/p.ts may not import ledger (ledger/sqlite)"],
    [
      "src/policy/p.ts",
      'import type { Ledger } from "../ledger/ledger.ts";',
      "policy/p.ts may not import ledger (ledger/ledger)",
    ],
    [
      "src/policy/p.ts",
      'import { type Identity, verify } from "../identity/verify.ts";',
      "policy/p.ts may not import more than types from identity (identity/verify)",
    ],
    ["src/masking/m.ts", 'export { x } from "../log.ts";', "masking/m.ts may not import log"],
    [
      "src/sandbox/s.ts",
      'const x = await import("../masking/mask-set.ts");',
      "sandbox/s.ts may not import more than types from masking (masking/mask-set)",
    ],
    [
      "src/sandbox/s.ts",
      'new Worker(new URL("../ledger/worker.ts", import.meta.url))',
      "sandbox/s.ts may not import more than types from ledger (ledger/worker)",
    ],
    ["src/policy/p.ts", 'import {\n  a,\n  b,\n} from "../lease/mint.ts";', "policy/p.ts may not import lease (lease/mint)"],
    ["src/policy/p.ts", 'import "../lease/mint.ts";', "policy/p.ts may not import lease (lease/mint)"],
    [
      "providers/aws.ts",
      'import { vault } from "./vault.ts"; import { mint } from "../src/lease/mint.ts";',
      "providers/aws.ts may not import lease (lease/mint)",
    ],
    ["src/errors.ts", 'import { Secret } from "./log.ts";', "errors.ts may not import log"],
    ["src/orphan.ts", "", "orphan.ts belongs to no room: say in test/architecture.json whom it may know"],
  ])("a broken rule is named: %s with %j", (path, text, expected) => {
    expect(brokenRules([{ path, text }])).toEqual([expected]);
  });

  test.each([
    ["src/policy/p.ts", 'import type { Identity } from "../identity/identity.ts";'],
    ["src/policy/p.ts", 'import { type Identity } from "../identity/identity.ts";'],
    ["src/policy/p.ts", 'import { BrokerError } from "../errors.ts";'],
    ["src/policy/p.ts", '// import { x } from "../ledger/ledger.ts";'],
    ["providers/vault.ts", 'import { slot } from "../src/lease/provider.ts";'],
  ])("what is allowed passes: %s with %j", (path, text) => {
    expect(brokenRules([{ path, text }])).toEqual([]);
  });

  test("no provider knows another: only the catalogue sees them", () => {
    const between = sources
      .flatMap(importsOf)
      .filter(({ from, to }) => from.startsWith("providers/") && to.startsWith("providers/"));
    const strangers = between.filter(
      ({ from, to }) => from !== "providers/catalogue" && !to.startsWith(`${from}/`) && from.split("/")[1] !== to.split("/")[1],
    );
    expect(strangers).toEqual([]);
  });
});

describe("every source file", () => {
  const offenders = (pattern: RegExp) => sources.filter(({ text }) => pattern.test(text)).map(({ path }) => path);

  test("is named for a noun or a verb, not for a drawer", () => {
    const drawer = /(^|-)(utils?|helpers?|common|manager|types|misc|shared|index)$/;
    expect(sources.map(({ path }) => path).filter((path) => drawer.test(basename(path, ".ts")))).toEqual([]);
    expect(drawer.test("token-utils")).toBe(true);
  });

  test.each([
    ["has no default export", /^export default\b|\bas default\b/m],
    ["is no barrel", /^export \* from/m],
    ["has no enum", /^(export )?(const )?enum /m],
    ["has no namespace", /^(export )?namespace /m],
    ["inherits from nothing but Error", /\bclass \w+ extends (?!\w*Error\b)/],
    [
      "switches no rule off without saying why",
      /(ox|es)lint-disable(?!-next-line \S+ -- \S)|biome-ignore|@ts-(ignore|expect-error|nocheck)/,
    ],
  ])("%s", (_, pattern) => {
    expect(offenders(pattern)).toEqual([]);
  });
});

describe("every room has a README of at most 60 lines", () => {
  const isFolder = (path: string) => statSync(path).isDirectory() && globSync(`${path}/**/*.*`).length > 0;
  const folders = [...readdirSync("src").map((name) => join("src", name)), "providers", "deploy", "bench"].filter(isFolder);

  test.each(folders)("%s", (folder) => {
    const lines = readFileSync(join(folder, "README.md"), "utf8").trimEnd().split("\n").length;
    expect(lines).toBeGreaterThan(3);
    expect(lines).toBeLessThanOrEqual(60);
  });
});
