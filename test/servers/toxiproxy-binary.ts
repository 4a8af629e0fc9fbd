import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { must, run } from "./process.ts";

/** Shopify's toxiproxy, built from its own sources by Go, whose public log of checksums vouches for them (see `opa-binary.ts`). */
const version = "2.12.0";
const source = `github.com/Shopify/toxiproxy/v2/cmd/server@v${version}`;

/** Where it is, whether or not it is there yet. */
export function toxiproxyPath(): string {
  return join(cache(), `toxiproxy-${version}`, "server");
}

/** Why what needs toxiproxy cannot run here; undefined where it can. */
export function toxiproxyMissing(): string | undefined {
  return existsSync(toxiproxyPath())
    ? undefined
    : `toxiproxy is not at ${toxiproxyPath()}: it is built with Go by scripts/setup.sh --tests`;
}

/** Builds it once, in about a minute; later calls find it in place. Does nothing where there is no Go. */
export async function fetchToxiproxy(): Promise<void> {
  if (toxiproxyMissing() === undefined) return;
  if ((await run("go", ["version"], { env: whole() }).catch(() => undefined))?.code !== 0) return;
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "building-"));
  try {
    await must("go", ["install", source], { env: { ...whole(), GOBIN: join(folder, "done"), GOFLAGS: "-trimpath" } });
    // Somebody else may have been quicker.
    await rename(join(folder, "done"), join(cache(), `toxiproxy-${version}`)).catch((error: unknown) => {
      if (toxiproxyMissing() !== undefined) throw error;
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
