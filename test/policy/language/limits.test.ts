import { describe, expect, it } from "vitest";
import { policyOfTree, problemsOf, problemsOfTree, template, trusted } from "../rooms.ts";

const times = <T>(count: number, of: (index: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, index) => of(index));
const map = (count: number, value: string) => `{ ${times(count, (index) => `k${index}: ${value}`).join(", ")} }`;
const list = (count: number, of: (index: number) => string) => `[${times(count, of).join(", ")}]`;
const ids = 'issuer: github, repository_id: "1", trust: protected';

describe("a template has so much and no more", () => {
  it.each<[string, (count: number) => string, number, string]>([
    ["lines of who", (count) => `who: { ${ids}, ${map(count - 3, "x").slice(2)}`, 64, "who: 64 lines at most"],
    ["lines under not", (count) => `who: { ${ids}, not: ${map(count, "x")} }`, 64, "who.not: 64 lines at most"],
    [
      "claims under absent",
      (count) => `who: { ${ids}, absent: ${list(count, (index) => `a${index}`)} }`,
      64,
      "who.absent: 64 lines at most",
    ],
    [
      "alternatives",
      (count) => `who: { ${ids}, any: ${list(count, (index) => `{ ref: "${index}" }`)} }`,
      32,
      "who.any: 32 alternatives at most",
    ],
    ["lines of an alternative", (count) => `who: { ${ids}, any: [${map(count, "x")}] }`, 64, "who.any.0: 64 lines at most"],
    [
      "values of a line",
      (count) => `who: { ${ids}, ref: ${list(count, (index) => `"${index}"`)} }`,
      256,
      "who.ref: 256 values at most",
    ],
    [
      "characters of a value",
      (count) => `who: { ${ids}, ref: ${"x".repeat(count)} }`,
      1_024,
      "who.ref: longer than 1024 characters",
    ],
    ["who that must all hold", (count) => `who: ${list(count, () => `{ ${ids} }`)}`, 64, "who: 64 that must all hold, at most"],
    [
      "when that must all hold",
      (count) => `${trusted}\nwhen: ${list(count, () => "{ days: mon, zone: UTC }")}`,
      64,
      "when: 64 that must all hold",
    ],
    [
      "lines in all",
      (count) => `who: ${list(count / 16, () => `{ ${ids}, ${map(13, "x").slice(2)}`)}`,
      256,
      "who: 272 lines, with those of its base",
    ],
    [
      "arguments",
      (count) => `${trusted}\nsteps: { s: { run: ${list(count, () => "x")}, workspace: read-only } }`,
      64,
      "steps.s.run: a command has 64 arguments",
    ],
    [
      "characters of an argument",
      (count) => `${trusted}\nsteps: { s: { run: [${"x".repeat(count)}], workspace: read-only } }`,
      4_096,
      "steps.s.run.0: an argument has 4,096",
    ],
    ["risks", (count) => `${trusted}\naccept: ${map(count, "because of this")}`, 64, "accept: a template accepts 64 risks"],
  ])("%s", (_, lines, most, problem) => {
    const next = problem.includes("272") ? 272 : most + 1;
    expect(problemsOf(template(lines(most))).filter((text) => / at most|longer than/.test(text))).toEqual([]);
    expect(problemsOf(template(lines(next))).join("\n")).toContain(problem);
  });

  it("bounds add to the lines of who, and to no more than a template can have", () => {
    const who = (count: number) => `{ issuer: github, ${map(count, "x").slice(2)}`;
    const tree = (count: number) => ({
      "bounds.yaml": `version: 1\nwho: [${times(4, () => who(count)).join(", ")}]\n`,
      "a.yaml": template(trusted, "a"),
    });
    expect(policyOfTree(tree(60)).templates.size).toBe(1);
    expect(problemsOfTree(tree(63))).toEqual([
      "a.yaml:3: who: 259 lines, with those of its base and of its bounds; 256 at most",
    ]);
  });
});

describe("sets and variables multiply to so much and no more", () => {
  const set = (name: string, hosts: number) =>
    `version: 1\nset: ${name}\nrevision: "1"\nhosts: ${list(hosts, (index) => `h${index}.${name}.example.com`)}\n`;
  const sets = Object.fromEntries(times(256, (index) => [`s${index}.set.yaml`, set(`s${index}`, 256)]));
  const few = Object.fromEntries(Object.entries(sets).slice(0, 5));
  const all = list(256, (index) => `set:s${index}`);

  it("1,024 hosts of one run, each set once however often it is named", () => {
    const of = (network: string) => ({ ...few, "a.yaml": template(`${trusted}\nnetwork: ${network}`, "a") });
    const reached = policyOfTree(of(list(256, (index) => `set:s${index % 4}`))).templates.get("a")?.network;
    expect(reached).toHaveLength(1_024);
    expect(problemsOfTree(of(list(5, (index) => `set:s${index}`)))).toEqual([
      "a.yaml:4: network: more than 1024 hosts, which is the most that a run can reach",
    ]);
  });

  it("4,096 hosts of a template's steps", () => {
    const of = (count: number) => ({
      ...few,
      "a.yaml": template(
        `${trusted}\nsteps:\n${times(count, (index) => `  t${index}: { workspace: read-only, network: [set:s0, set:s1] }`).join("\n")}`,
        "a",
      ),
    });
    expect(policyOfTree(of(8)).templates.get("a")?.steps.size).toBe(8);
    expect(problemsOfTree(of(9))).toEqual(["a.yaml:4: steps: its steps reach more than 4096 hosts in all"]);
  });

  const variables = (entries: number, value: string) =>
    list(entries, (index) => `e${index}: { a: ${value} }`)
      .replace("[", "{")
      .replace(/\]$/, "}");

  it("256 KiB put into a template", () => {
    const of = (slots: number) =>
      template(
        `${trusted}\naccept: { each-alike: "one job for both of them" }\nfor_each: ${variables(2, "x".repeat(1_000))}\ncredentials: { c: { provider: vault-main, path: kv/x, fields: ${list(slots, () => '"{each.a}"')} } }`,
        "a",
      );
    expect(policyOfTree({ "a.yaml": of(262) }).templates.size).toBe(2);
    expect(problemsOfTree({ "a.yaml": of(263) })).toEqual([
      "a.yaml:5: for_each.e0: puts more than 256 KiB of text into this template",
      "a.yaml:5: for_each.e1: puts more than 256 KiB of text into this template",
    ]);
  });

  it("10,000 templates, and 32 MiB with bases and entries, before any of them is put together", () => {
    const many = (files: number, filling: string) =>
      Object.fromEntries(
        times(files, (index) => [
          `a${index}.yaml`,
          template(`${trusted}\nowner: "{each.a}"\n#${filling}\nfor_each: ${variables(100, "x")}`, `a${index}`),
        ]),
      );
    expect(problemsOfTree(many(101, ""))).toEqual(["the templates: more than 10000 with those of for_each"]);
    expect(problemsOfTree(many(3, "x".repeat(120_000)))).toEqual([
      "the templates: more than 32 MiB of text, with each base and each entry of for_each written out",
    ]);
  });

  it.each<[string, () => Readonly<Record<string, string>>]>([
    ["5,000 who that must all hold", () => ({ "a.yaml": template(`who: ${list(5_000, () => `{ ${ids} }`)}`, "a") })],
    [
      "100 steps of 256 sets of 256 hosts, a hundred times",
      () => ({
        ...sets,
        "a.yaml": template(
          `${trusted}\nowner: "{each.a}"\nfor_each: ${variables(100, "x")}\nsteps:\n${times(100, (index) => `  t${index}: { network: ${index < 30 ? all : "[set:s0, set:s1, set:s2]"} }`).join("\n")}`,
          "a",
        ),
      }),
    ],
    [
      "a thousand characters 17,000 times, a hundred times",
      () => ({
        "a.yaml": template(
          `${trusted}\nfor_each: ${variables(100, "x".repeat(1_000))}\ncredentials: { c: { provider: vault-main, path: kv/x, fields: ${list(10_000, () => '"{each.a}"')} } }`,
          "a",
        ),
      }),
    ],
    [
      "5,000 templates that extend none of 5,000",
      () =>
        Object.fromEntries(
          times(5_000, (index) => [`t${index}.yaml`, template(`extends: base-${index}-none`, `template-${index}`)]),
        ),
    ],
  ])("%s are refused within seconds, and not with gigabytes", (_, files) => {
    const tree = files();
    const begun = process.cpuUsage();
    const before = process.memoryUsage().heapTotal;
    expect(problemsOfTree(tree).length).toBeGreaterThan(0);
    expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(6_000);
    expect((process.memoryUsage().heapTotal - before) / 2 ** 20).toBeLessThan(400);
  });
});

describe("what is printed is one line", () => {
  const odd = ["a\\nb", "a\\tb", "a\\e[31mb", "a\\u202eb", "a\\u2028b", "a\\0b", ""];

  it.each(odd)("%j is no owner, revision or reason", (written) => {
    const said = "write one line of text, without characters that do not show";
    expect(problemsOf(template(`${trusted}\nowner: "${written}"`))).toEqual([`t0.yaml:4: owner: ${said}`]);
    expect(problemsOf(template(`${trusted}\naccept: { x: "for a while ${written}\\n" }`))).toEqual([
      `t0.yaml:4: accept.x: ${said}`,
    ]);
    const tree = { "bounds.yaml": `version: 1\nowner: "${written}"\n`, "a.yaml": template(trusted, "a") };
    expect(problemsOfTree(tree)).toEqual([`bounds.yaml:2: owner: ${said}`]);
    const set = `version: 1\nset: s\nrevision: "${written}"\nhosts: [a.example.com]\n`;
    expect(problemsOfTree({ "s.set.yaml": set, "a.yaml": template(trusted, "a") })).toEqual([
      `s.set.yaml:3: revision: ${said}`,
    ]);
  });

  it.each(["team shop", "Équipe ünïcode", "команда", "チーム", "shop (EU) #1", "2026-11-20"])("%s may be one", (owner) => {
    expect(policyOfTree({ "a.yaml": template(`${trusted}\nowner: "${owner}"`, "a") }).templates.get("a")?.owner).toBe(owner);
  });
});
