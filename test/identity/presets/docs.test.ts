import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseDocument } from "yaml";
import { issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { presetNames, presets } from "../../../src/identity/presets/presets.ts";

const page = readFileSync(new URL("../../../docs/issuers.md", import.meta.url), "utf8");
const sections = page.split(/^## /m).slice(1);

function sectionOf(preset: string): string {
  const found = sections.filter((section) => section.includes(`\n| \`${preset}\` | |\n`));
  if (found.length !== 1) throw new Error(`${found.length} sections about ${preset}`);
  return found[0] ?? "";
}

/** The claims in code marks of one row of a section's table. */
function claimsIn(section: string, row: string): readonly string[] {
  const line = section.split("\n").find((text) => text.startsWith(`| ${row} |`)) ?? "";
  return [...line.matchAll(/`([^`]+)`/g)].map(([, claim = ""]) => claim);
}

describe.each(presetNames.filter((preset) => preset !== "generic"))("docs/issuers.md about %s", (preset) => {
  const { identifying, workload, job, jobWhereSent, trust } = presets[preset];

  it("names the claims that the preset names", () => {
    const section = sectionOf(preset);
    expect(claimsIn(section, "a template names one of")).toEqual(identifying);
    expect(claimsIn(section, "workload")).toEqual(workload);
    expect(claimsIn(section, "job")).toEqual([...job, ...jobWhereSent]);
  });

  it("says unknown where nothing is derived", () => {
    expect(sectionOf(preset).includes("\n| trust | unknown |\n")).toBe(trust === undefined);
  });
});

describe("docs/issuers.md", () => {
  it.each(presetNames.flatMap((preset) => examplesOf(preset).map((example, index) => [preset, index, example] as const)))(
    "has examples of %s that load (%i)",
    (_, __, example) => {
      const written: unknown = parseDocument(example).toJS();
      const parsed = issuersSchema.safeParse(written);
      expect(parsed.error?.issues).toBeUndefined();
    },
  );
});

/** Each top-level name of a section's YAML is one example. What varies is in capitals there, and is filled in here. */
function examplesOf(preset: string): readonly string[] {
  const blocks = [...sectionOf(preset).matchAll(/```yaml\n(.*?)```/gs)].map(([, text = ""]) => text);
  return blocks
    .flatMap((text) => text.split(/^(?=\w+:)/m))
    .map((text) =>
      text
        .replace(/ORG-UUID|ORGANISATION-GUID|TENANT-GUID/g, "0ca3ddd9-f0b0-4635-a98c-5866526961b6")
        .replace("/workspaces/WORKSPACE/", "/workspaces/acme/")
        .replace("//HOST/", "//forgejo.example.com/"),
    );
}
