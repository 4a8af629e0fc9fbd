import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { lastWordFindings } from "../../src/commands/doctor-last-word.ts";
import { loadConfig, settings } from "../../src/config.ts";
import { systemClock } from "../../src/time.ts";
import { buildBundle } from "../servers/opa.ts";
import { opaMissing } from "../servers/opa-binary.ts";
import { mayfly, type Ran } from "./shell.ts";

/* The bundle without which a broker does not start, looked at before one is started. */

const missing = opaMissing();
const template = `# yaml-language-server: $schema=template.schema.json
version: 1
template: deploy
owner: team-shop
who: { issuer: github, repository_id: "7", trust: protected }
steps:
  look: { workspace: read-only }
`;

let folder: string;
const path = (...names: readonly string[]): string => join(folder, ...names);
const bundle = (): string => path("opa", "bundle.tar.gz");

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-last-word-"));
  for (const name of ["opa", "templates"]) mkdirSync(path(name), { mode: 0o755 });
  writeFileSync(path("templates/deploy.yaml"), template, { mode: 0o644 });
  configure(`bundle: "${bundle()}"`);
  if (missing === undefined) await buildBundle(folder, "package mayfly\n\ndecision := true\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(({ skip }) => {
  if (missing !== undefined) skip(missing);
  copyFileSync(path("bundle.tar.gz"), bundle());
  chmodSync(bundle(), 0o644);
  configure(`bundle: "${bundle()}"`);
});

function configure(lastWord: string): void {
  writeFileSync(
    path("mayfly.yaml"),
    `version: 1\nuser: 0\nissuers: { github: { preset: github, audience: mayfly } }\nproviders: {}\nsandbox: {}\nlast_word: { ${lastWord} }\n`,
  );
}

const check = (...args: readonly string[]): Promise<Ran> =>
  mayfly(["check", "templates", "--strict", ...args], { cwd: folder, env: { MAYFLY_CONFIG: path("mayfly.yaml") } });
const doctor = () => lastWordFindings(loadConfig(path("mayfly.yaml"), settings({})), systemClock);

const flaws: readonly (readonly [what: string, harm: () => void, says: string])[] = [
  ["is no bundle", () => writeFileSync(bundle(), "x"), "is neither a bundle.tar.gz nor a policy.wasm"],
  ["can be written by others", () => chmodSync(bundle(), 0o666), "can be written by others"],
  ["lacks the rule", () => configure(`bundle: "${bundle()}", decision: other/rule`), "has no entrypoint other/rule"],
];

describe("mayfly check", () => {
  test("is content with a bundle that loads", async () => {
    expect(await check()).toMatchObject({ exit: 0, stderr: "", stdout: expect.stringMatching(/^1 template in /) as string });
  });

  test.each(flaws)("lists a bundle that %s", async (_, harm, says) => {
    harm();
    const { stdout, stderr, exit } = await check();
    expect(exit).toBe(1);
    expect(stdout).toContain(`${bundle()}: ${says}`);
    expect(stderr).toBe("mayfly: 1 problem (1 error): a broker would not load these templates\n");
    expect(JSON.parse((await check("--json")).stdout)).toMatchObject({
      ok: false,
      problems: [{ file: bundle(), level: "error" }],
    });
  });

  test("says where there is none on this machine, and fails nobody's checkout for it", async () => {
    rmSync(bundle());
    expect(await check()).toMatchObject({
      exit: 0,
      stderr: `mayfly: the site's last word was not looked at: there is no ${bundle()} on this machine\n`,
    });
  });

  test("asks no server", async () => {
    configure('server: "http://127.0.0.1:1"');
    expect(await check()).toMatchObject({ exit: 0, stderr: "" });
  });
});

describe("mayfly doctor", () => {
  test("is content with a bundle that loads", async () => {
    expect(await doctor()).toEqual([{ name: "last word", state: "good", found: `${bundle()} loads`, remedy: null }]);
  });

  test.each([...flaws, ["is gone", () => rmSync(bundle()), "cannot be read (ENOENT)"] as const])(
    "calls a bundle bad that %s",
    async (_, harm, says) => {
      harm();
      expect(await doctor()).toMatchObject([
        { state: "bad", found: expect.stringContaining(`${bundle()}: ${says}`) as string },
      ]);
    },
  );

  test("says so in its list, with the exit code of anything bad", () => {
    rmSync(bundle());
    const args = ["src/main.ts", "doctor", "--json", "--config", path("mayfly.yaml")];
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ name: "last word", state: "bad" }));
    expect(status).toBe(1);
  });

  test("calls a mayfly.yaml bad whose authority cannot be read, and says the rest all the same", () => {
    configure('server: "https://opa.example.com", ca: /nonexistent/ca.pem');
    const args = ["src/main.ts", "doctor", "--json", "--config", path("mayfly.yaml")];
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(JSON.parse(stdout)).toContainEqual(
      expect.objectContaining({ name: "mayfly.yaml", state: "bad", found: "last_word.ca: /nonexistent/ca.pem cannot be read" }),
    );
    expect(status).toBe(1);
  });

  test("leaves a server for the first run to ask", async () => {
    configure('server: "http://127.0.0.1:1"');
    expect(await doctor()).toMatchObject([{ state: "good", found: expect.stringContaining("not asked now") as string }]);
  });
});
