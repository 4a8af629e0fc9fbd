import { globSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { jsonSchemaOf, type SchemaKind, schemaKinds } from "../../../src/policy/schema/schema.ts";
import { mayfly } from "../../commands/shell.ts";
import { rooms } from "../lint/site.ts";

type Schema = Readonly<Record<string, unknown>>;

async function printed(kind: SchemaKind, ...flags: readonly string[]): Promise<Schema> {
  const schema: Schema = JSON.parse((await mayfly(["schema", kind, ...flags])).stdout);
  return schema;
}

/** Strict: a keyword that nobody knows is an error, and so is a pattern that does not compile. Formats are only said. */
function validator(schema: Schema): ValidateFunction {
  return new Ajv2020({
    allErrors: true,
    strict: true,
    strictRequired: false,
    strictTypes: false,
    validateFormats: false,
  }).compile(schema);
}

/** With the issuers and providers of the site that the examples of the rules are for. */
function ofSite(kind: SchemaKind): Schema {
  const { issuers = new Map(), providers, delivery, isolation } = rooms;
  return jsonSchemaOf(kind, { issuers, providers, delivery, isolation, named: true });
}

const plain = Object.fromEntries(
  await Promise.all(schemaKinds.map(async (kind) => [kind, validator(await printed(kind))] as const)),
);
const named = Object.fromEntries(schemaKinds.map((kind) => [kind, validator(ofSite(kind))] as const));

/** Why a text does not fit; empty where it does. */
function flaws(validate: ValidateFunction | undefined, text: string): readonly string[] {
  const fits = validate?.(parse(text)) ?? false;
  return fits ? [] : (validate?.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message ?? ""}`);
}

/** Every property, wherever it stands. What an `if` asks, and what follows from it, says nothing new of a key. */
function keysIn(
  node: unknown,
  silent: readonly string[] = ["if", "then", "else", "examples"],
): readonly (readonly [string, unknown])[] {
  if (typeof node !== "object" || node === null) return [];
  return Object.entries<unknown>({ ...node }).flatMap(([key, value]) => {
    if (silent.includes(key)) return [];
    const named = key === "properties" ? Object.entries<unknown>(Object(value)) : [];
    return [...named, ...(key === "properties" ? named.flatMap(([, property]) => keysIn(property)) : keysIn(value))];
  });
}

function kindOf(file: string): SchemaKind {
  const [, kind] = /\.(set|test)\.yaml$/.exec(file) ?? [];
  if (kind === "set" || kind === "test") return kind;
  return basename(file) === "bounds.yaml" ? "bounds" : "template";
}

describe("the published schemas", () => {
  test.each([
    ["templat", "did you mean template?"],
    ["workflow", "there is template, bounds, set, test"],
  ])("there is none of the kind %s, and what there is is said", async (kind, hint) => {
    expect(await mayfly(["schema", kind])).toEqual({
      stdout: "",
      stderr: `mayfly: there is no kind of file "${kind}"\nhint: ${hint}\n`,
      exit: 124,
    });
  });

  test.each(schemaKinds)("docs/schema/%s.schema.json is what the verb prints", async (kind) => {
    const published: unknown = JSON.parse(readFileSync(`docs/schema/${kind}.schema.json`, "utf8"));
    expect(published, `mayfly schema ${kind} > docs/schema/${kind}.schema.json`).toEqual(await printed(kind));
  });

  test.each(schemaKinds)("%s: every key has a description", async (kind) => {
    const schema = await printed(kind);
    const bare = keysIn(schema).filter(([, node]) => typeof node !== "boolean" && !Object.hasOwn(Object(node), "description"));
    expect(keysIn(schema).length).toBeGreaterThan(3);
    expect(bare.map(([name]) => name)).toEqual([]);
  });
});

describe("a provider's own options", () => {
  test.each(["vault-main", "broker"])("%s: each has a description, which an editor shows", (name) => {
    const { options = z.unknown() } = rooms.providers.get(name) ?? {};
    const keys = keysIn(z.toJSONSchema(options, { io: "input", unrepresentable: "any" }));
    expect(keys.length).toBeGreaterThan(2);
    expect(keys.filter(([, node]) => !Object.hasOwn(Object(node), "description")).map(([key]) => key)).toEqual([]);
  });
});

describe("mayfly schema", () => {
  test("is of a template where nothing is said", async () => {
    expect(JSON.parse((await mayfly(["schema"])).stdout)).toMatchObject({ title: "Mayfly template" });
  });
});

describe("what loads fits the schema", () => {
  const shipped = globSync("deploy/templates/**/*.yaml");
  test.each(shipped)("%s", (file) => {
    expect(flaws(plain[kindOf(file)], readFileSync(file, "utf8"))).toEqual([]);
    expect(readFileSync(file, "utf8").split("\n")[0]).toBe(
      `# yaml-language-server: $schema=../../docs/schema/${kindOf(file)}.schema.json`,
    );
  });

  const examples = globSync("test/policy/lint/{good,examples/*}/*.yaml");
  test("and there are examples enough", () => {
    expect([shipped.length, examples.length]).toEqual([expect.any(Number), expect.any(Number)]);
    expect(examples.length).toBeGreaterThan(60);
  });
  test.each(examples)("%s, of any site and of its own", (file) => {
    const text = readFileSync(file, "utf8");
    expect(flaws(plain[kindOf(file)], text)).toEqual([]);
    if (basename(file) !== "bad.yaml") expect(flaws(named[kindOf(file)], text)).toEqual([]);
  });

  const fenced = [...readFileSync("docs/templates.md", "utf8").matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, text = ""]) => text,
  );
  test.each(
    fenced.map(
      (text) => [text.split("\n").find((line) => line.startsWith("#") === false && line !== "version: 1") ?? "", text] as const,
    ),
  )("docs/templates.md: %s …", (_, text) => {
    const written: unknown = parseAllDocuments(text)[0]?.toJS();
    expect(Object.values(plain).some((validate) => validate(written))).toBe(true);
  });

  const base = 'version: 1\ntemplate: t\nwho: { issuer: github, repository_id: "7" }\n';
  const good: readonly (readonly [string, string])[] = [
    ["several who", 'version: 1\ntemplate: t\nwho: [{ issuer: github }, { repository_id: "7" }]\n'],
    [
      "a base, with slots that nobody filled yet",
      'version: 1\ntemplate: t\ncredentials: { db: { provider: v, path: "x/{each.y}", ttl: "{each.ttl}" } }\n',
    ],
    [
      "a child that names what it keeps",
      "version: 1\ntemplate: t\nextends: base/t\ncredentials: { db: { ttl: 5m }, x: }\nsteps: { a: , b: { credentials: [] } }\n",
    ],
    [
      "values of for_each wherever text stands",
      `${base}for_each: { a: { day: mon, w: rw, z: UTC } }\nwhen: { days: "{each.day}", zone: "{each.z}" }\n`,
    ],
    [
      "a list of days, and hours past midnight",
      `${base}when: { days: [mon-wed, sat], hours: "22:00-06:00", zone: Europe/Berlin }\n`,
    ],
    [
      "addresses, sets and the credentials' own",
      `${base}network: ["set:node", credentials, "192.0.2.7:22", "[2001:db8::7]:22", "*.x.example.com"]\n`,
    ],
  ];
  test.each(good)("%s", (_, text) => {
    expect(flaws(plain["template"], text)).toEqual([]);
  });
});

describe("what an author can get wrong does not fit", () => {
  const base = 'version: 1\ntemplate: t\nwho: { issuer: github, repository_id: "7" }\n';
  const bad: readonly (readonly [string, SchemaKind, string, string])[] = [
    ["a key that is none", "template", `${base}steeps: {}\n`, " must NOT have additional properties"],
    [
      "an id that YAML rounds",
      "template",
      "version: 1\ntemplate: t\nwho: { issuer: github, repository_id: 519283746 }\n",
      "/who/repository_id must be",
    ],
    ["a trust that nobody has", "template", `${base.replace('"7"', '"7", trust: trusted')}`, "/who/trust must be"],
    ["`**` in the middle", "template", base.replace('"7"', '"7", ref: refs/**/x'), "/who/ref must"],
    [
      "an issuer within any",
      "template",
      base.replace('"7"', '"7", any: [{ issuer: gitlab }]'),
      "/who/any/0/issuer boolean schema is false",
    ],
    ["a life without its unit", "template", `${base}max_ttl: 10\n`, "/max_ttl must"],
    [
      "a credential of nobody",
      "template",
      `${base}credentials: { db: { path: x } }\n`,
      "/credentials/db must have required property 'provider'",
    ],
    ["a step with nothing behind it", "template", `${base}steps: { a: }\n`, "/steps/a must be object"],
    ["a workspace that is none", "template", `${base}steps: { a: { workspace: write } }\n`, "/steps/a/workspace must"],
    ["a URL for a host", "template", `${base}network: ["https://x.example.com"]\n`, "/network/0 must match"],
    ["an offset for a zone's hours", "template", `${base}when: { hours: "7-19", zone: UTC }\n`, "/when/hours must match"],
    ["a slot within for_each", "template", `${base}for_each: { a: { x: "{each.y}" } }\n`, "/for_each/a/x must match"],
    [
      "an image by its tag",
      "template",
      `${base}sandbox: { image: "registry.example.com/ci/node:24" }\n`,
      "/sandbox/image must match",
    ],
    ["what cannot be tolerated", "template", `${base}tolerate: { seccomp: "it is in the way" }\n`, "/tolerate must"],
    ["a risk without a reason", "template", `${base}accept: { rule: x }\n`, "/accept/rule must"],
    ["bounds with what only a template has", "bounds", "version: 1\nsteps: {}\n", " must NOT have additional properties"],
    ["a set within a set", "set", 'version: 1\nset: a\nrevision: "1"\nhosts: ["set:b"]\n', "/hosts/0 must match"],
    [
      "a test that expects nothing",
      "test",
      "version: 1\nissuer: github\ntests: [{ it: x, expect: {} }]\n",
      "/tests/0/expect must have required property 'granted'",
    ],
    [
      "a code that is none",
      "test",
      "version: 1\nissuer: github\ntests: [{ it: x, expect: { denied: forbidden } }]\n",
      "/tests/0/expect/denied must be equal to one of",
    ],
    ["no test at all", "test", "version: 1\nissuer: github\ntests: []\n", "/tests must NOT have fewer than 1 items"],
  ];
  test.each(bad)("%s", (_, kind, text, flaw) => {
    expect(flaws(plain[kind], text)).toEqual(expect.arrayContaining([expect.stringContaining(flaw)]));
  });
});

describe("the schema of one site", () => {
  test("names its issuers and providers, and each provider's own options", async () => {
    const validate = validator(await printed("template", "--config", "deploy/mayfly.yaml"));
    const base = (issuer: string, credential: string) =>
      `version: 1\ntemplate: t\nwho: { issuer: ${issuer}, repository_id: "7" }\ncredentials: { c: ${credential} }\n`;
    const rows: readonly (readonly [string, string, string | undefined])[] = [
      ["github", "{ provider: vault-main, path: database/creds/shop, ttl: 5m }", undefined],
      ["github", '{ provider: broker, kind: jwt, audience: "https://x.example.com" }', undefined],
      ["github", '{ provider: vault-main, path: "database/creds/{each.db}" }', undefined],
      ["hub", "{ provider: broker, kind: x509 }", "/who/issuer must be equal to one of"],
      ["github", "{ provider: vault, path: database/creds/shop }", "/credentials/c/provider must be equal to one of"],
      ["github", "{ provider: vault-main, pth: database/creds/shop }", "/credentials/c must NOT have additional properties"],
      ["github", "{ provider: vault-main, path: sys/raw }", "/credentials/c/path must match pattern"],
      ["github", "{ provider: broker, kind: ssh }", "/credentials/c/kind must be equal to"],
    ];
    for (const [issuer, credential, flaw] of rows) {
      const found = flaws(validate, base(issuer, credential));
      expect(found, credential).toEqual(flaw === undefined ? [] : expect.arrayContaining([expect.stringContaining(flaw)]));
    }
  });
});
