import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lookAt } from "../src/policy-files.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mayfly-look-"));
  mkdirSync(at("templates", "shop"), { recursive: true });
  for (const name of ["deploy.yaml", "shop/ship.yaml"]) writeFileSync(at("templates", name), "version: 1\n");
  writeFileSync(at("bundle"), "a bundle");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const at = (...names: readonly string[]) => join(folder, ...names);
const deploy = () => at("templates", "deploy.yaml");
const look = () => {
  const lastWord = { path: at("bundle"), read: () => Promise.reject(new Error("not in this test")) };
  return lookAt({ folder: { path: at("templates"), owners: [0] }, lastWord });
};

/** Another file of the same name, size and moments as the one that was there. */
function twin(path: string): void {
  const { atime, mtime } = statSync(path);
  writeFileSync(`${path}.new`, readFileSync(path));
  utimesSync(`${path}.new`, atime, mtime);
  renameSync(`${path}.new`, path);
}

function disguised(): void {
  const { atime, mtime } = statSync(deploy());
  writeFileSync(deploy(), "version: 2\n");
  utimesSync(deploy(), atime, mtime);
}

describe("a look at the templates", () => {
  test.each<readonly [string, () => void]>([
    ["a file's content", () => writeFileSync(deploy(), "version: 10\n")],
    ["its content, in disguise: the same size, and the time of its change set back", () => disguised()],
    ["the file itself, for its twin", () => twin(deploy())],
    ["a file's owner", () => chownSync(deploy(), 61_499, 0)],
    ["a file's mode", () => chmodSync(deploy(), 0o666)],
    ["a file's name", () => renameSync(deploy(), at("templates", "other.yaml"))],
    ["a file beneath a folder", () => writeFileSync(at("templates", "shop", "ship.yaml"), "version: 3\n")],
    ["a file that is new", () => writeFileSync(at("templates", "shop", "more.yaml"), "")],
    ["a file that is gone", () => rmSync(deploy())],
    ["a link in a file's place", () => (renameSync(deploy(), at("x")), symlinkSync(at("x"), deploy()))],
    ["a folder's owner", () => chownSync(at("templates", "shop"), 61_499, 0)],
    ["a folder's mode", () => chmodSync(at("templates"), 0o777)],
    ["a folder that is new", () => mkdirSync(at("templates", "more"))],
    ["the folder of them all, which is gone", () => rmSync(at("templates"), { recursive: true })],
    ["the bundle", () => writeFileSync(at("bundle"), "b bundle")],
    ["the bundle, which is gone", () => rmSync(at("bundle"))],
  ])("sees a change of %s", async (_, change) => {
    const before = await look();
    // A tick of the file system's clock.
    await sleep(20);
    change();
    expect(await look()).not.toBe(before);
  });

  test.each<readonly [string, () => void]>([
    ["nothing at all", () => undefined],
    ["somebody who reads", () => void readFileSync(deploy())],
    ["an editor's hidden file", () => writeFileSync(at("templates", ".deploy.yaml.swp"), "x")],
    ["git's own folder", () => mkdirSync(at("templates", ".git"))],
    ["a file that comes and goes", () => (writeFileSync(at("templates", "4913"), ""), rmSync(at("templates", "4913")))],
    ["a page that is no template", () => writeFileSync(at("templates", "README.md"), "x")],
    ["what is beside them", () => writeFileSync(at("README"), "x")],
  ])("does not mind %s", async (_, change) => {
    const before = await look();
    await sleep(20);
    change();
    expect(await look()).toBe(before);
  });

  test("sees a template behind more pages than anybody counts", async () => {
    mkdirSync(at("templates", "docs"));
    for (let page = 0; page < 5_050; page += 1) writeFileSync(at("templates", "docs", `${page}.md`), "");
    const before = await look();
    writeFileSync(at("templates", "shop", "ship.yaml"), "version: 30\n");
    expect(await look()).not.toBe(before);
  });
});
