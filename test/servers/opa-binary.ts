import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { must, run } from "./process.ts";

/**
 * OPA, built from its own sources by Go: the module's checksum is in Go's public log, which `go install` itself asks, so a tampered
 * mirror gives an error and never a program that runs.
 */
const version = "1.21.1";
const source = `github.com/open-policy-agent/opa@v${version}`;

/** Where it is, whether or not it is there yet. */
export function opaPath(): string {
  return join(cache(), `opa-${version}`, "opa");
}

/** Why the tests that need a real OPA cannot run here; undefined where they can. */
export function opaMissing(): string | undefined {
  return existsSync(opaPath()) ? undefined : `OPA is not at ${opaPath()}: it is built with Go by scripts/setup.sh --tests`;
}

/** Builds it once, in about a minute; later calls find it in place. Does nothing where there is no Go: its tests say so. */
export async function fetchOpa(): Promise<void> {
  if (opaMissing() !== undefined) {
    if ((await run("go", ["version"], { env: whole() }).catch(() => undefined))?.code !== 0) return;
    await install();
  }
  const printed = await must(opaPath(), ["version"]);
  if (!printed.startsWith(`Version: ${version}\n`)) throw new Error(`${opaPath()} says it is ${printed.slice(0, 100)}`);
}

async function install(): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "building-"));
  try {
    await must("go", ["install", source], { env: { ...whole(), GOBIN: join(folder, "done"), GOFLAGS: "-trimpath" } });
    // Somebody else may have been quicker.
    await rename(join(folder, "done"), join(cache(), `opa-${version}`)).catch((error: unknown) => {
      if (opaMissing() !== undefined) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Go takes its mirror, caches and certificates from the environment, so this one command is handed it whole. */
function whole(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function cache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "mayfly-servers");
}
