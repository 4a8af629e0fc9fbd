import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { lastWordSchema } from "../../../src/policy/opa/config.ts";
import { questionOf } from "../../../src/policy/opa/question.ts";
import { opaMissing, opaPath } from "../../servers/opa-binary.ts";
import { must } from "../../servers/process.ts";
import { grant, heard, limits, type Word, wordInBundle } from "./bench.ts";

/* docs/last-word.md, by doing what it says. */

const page = readFileSync("docs/last-word.md", "utf8");
const missing = opaMissing();

function blocks(language: string): readonly string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(([, text]) => text ?? "");
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-opa-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function built(freeze: object): Promise<Word> {
  const [build = ""] = (blocks("sh")[0] ?? "").split("\n");
  const [command, ...args] = build.split(" ");
  if (command !== "opa") throw new Error(`the page begins with ${build}`);
  writeFileSync(join(folder, "policy.rego"), blocks("rego")[0] ?? "");
  writeFileSync(join(folder, "data.json"), JSON.stringify({ freeze }));
  const placed = args.map((argument) => (/\.(?:rego|json|gz)$/.test(argument) ? join(folder, argument) : argument));
  await must(opaPath(), placed);
  return wordInBundle(join(folder, "bundle.tar.gz"));
}

const credentials = grant.credentials.map((one) => ({ ...one, provider: one.name === "aws" ? "aws-main" : "vault-main" }));
const branch = { ...grant, credentials, identity: { ...grant.identity, trust: "branch" as const } };

describe("the page on the last word", () => {
  test.for<readonly [string, object, typeof grant, unknown]>([
    ["allows a protected run", { on: false, reason: "" }, { ...grant, credentials }, { aws: 600, db: 600 }],
    ["narrows another", { on: false, reason: "" }, branch, { db: 300 }],
    ["denies in a freeze", { on: true, reason: "until Monday" }, grant, { overruled: "until Monday" }],
    ["and not what the freeze is not about", { on: true, reason: "" }, { ...branch, template: "test" }, { db: 300 }],
  ])("has a policy that, built by its own command, %s", async ([, freeze, asked, comes], { skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await heard(await built(freeze), asked)).toEqual(comes);
  });

  test("has lines for mayfly.yaml that load", () => {
    const kinds = blocks("yaml").map(
      (text) => lastWordSchema.parse((parse(text) as { readonly last_word: unknown }).last_word).kind,
    );
    expect(kinds).toEqual(["bundle", "server"]);
  });

  test("shows every key of what a policy hears, and no other", () => {
    const keys = (value: unknown): unknown =>
      typeof value !== "object" || value === null
        ? typeof value
        : Object.entries(value).map(([name, inner]) => [name, name === "claims" || name === "options" ? "any" : keys(inner)]);
    const shown: unknown = JSON.parse(blocks("json")[0] ?? "");
    const asked = { ...grant, credentials: grant.credentials.slice(0, 1) };
    expect(keys({ ...(shown as object), command: [] })).toEqual(keys({ ...questionOf(asked, limits, 0), command: [] }));
  });
});
