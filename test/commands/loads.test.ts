import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

let folder: string;
let hook: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-loads-"));
  hook = join(folder, "loads.mjs");
  await writeFile(
    hook,
    `import { registerHooks } from "node:module";
const loaded = new Set();
registerHooks({
  load(url, context, next) {
    const [, name] = /\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url) ?? [];
    if (name !== undefined) loaded.add(name);
    return next(url, context);
  },
});
process.on("exit", () => process.stderr.write("loaded " + [...loaded].sort().join(" ") + "\\n"));
`,
  );
});

afterAll(() => rm(folder, { recursive: true }));

async function librariesOf(...args: readonly string[]): Promise<readonly string[]> {
  const ran = promisify(execFile)(process.execPath, ["--import", hook, "src/main.ts", ...args]);
  const { stderr } = await ran.catch((error: { readonly stderr: string }) => error);
  return /^loaded (.*)$/m.exec(stderr)?.[1]?.split(" ") ?? [];
}

const toTheBroker = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node", "commander"];

describe("a verb loads what it is made of, and nothing of the others", () => {
  test.each([
    ["run", ["run", "--socket", "/nonexistent.sock", "--session", "x", "--", "true"]],
    ["session end", ["session", "end", "x", "--socket", "/nonexistent.sock"]],
    ["status", ["status", "--socket", "/nonexistent.sock"]],
  ])("%s: the broker's protocol, and no schemas, keys or templates", async (_, args) => {
    expect(await librariesOf(...args)).toEqual(toTheBroker);
  });

  test("check: what reads templates, and that was seen", async () => {
    expect(await librariesOf("check", "/nonexistent")).toEqual(expect.arrayContaining(["yaml", "zod"]));
  });
});
