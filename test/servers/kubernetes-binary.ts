import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { must, run } from "./process.ts";

/**
 * Kubernetes' own API server with etcd's own server, in one binary, built from their sources by Go. A program of ours of a few lines names
 * both, since Kubernetes' module cannot be built by `go install`. Each module's checksum is in Go's public log, which Go itself asks, so a
 * tampered mirror gives an error and never a program that runs.
 */
const version = "1.37.2";

const program = `// Command kube-apiserver is Kubernetes' own API server; its first argument "etcd" makes it etcd's own server.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "etcd" {
		etcdmain.Main(os.Args[1:])
		return
	}
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}
`;

/** Where it is, whether or not it is there yet. */
export function kubernetesPath(): string {
  return join(cache(), `kubernetes-${version}`, "kube-apiserver");
}

/** Why the tests that need a real Kubernetes API server cannot run here; undefined where they can. */
export function kubernetesMissing(): string | undefined {
  if (existsSync(kubernetesPath())) return undefined;
  return `Kubernetes' API server is not at ${kubernetesPath()}: it is built with Go by scripts/setup.sh --tests`;
}

/** Builds it once, in about five minutes; later calls find it in place. Does nothing where there is no Go: its tests say so. */
export async function fetchKubernetes(): Promise<void> {
  if (kubernetesMissing() !== undefined) {
    if ((await run("go", ["version"], { env: whole() }).catch(() => undefined))?.code !== 0) return;
    await install();
  }
  const printed = await must(kubernetesPath(), ["--version"]);
  if (printed !== `Kubernetes v${version}\n`) throw new Error(`${kubernetesPath()} says it is ${printed.slice(0, 100)}`);
}

async function install(): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "building-"));
  try {
    const source = join(folder, "source");
    const done = join(folder, "done");
    await Promise.all([mkdir(source), mkdir(done)]);
    await Promise.all([writeFile(join(source, "main.go"), program), writeFile(join(source, "go.mod"), await moduleOf(folder))]);
    await go(source, ["mod", "tidy"]);
    const named = `-s -w -X k8s.io/component-base/version.gitVersion=v${version}`;
    await go(source, ["build", "-trimpath", "-ldflags", named, "-o", join(done, "kube-apiserver"), "."]);
    // Somebody else may have been quicker.
    await rename(done, join(cache(), `kubernetes-${version}`)).catch((error: unknown) => {
      if (kubernetesMissing() !== undefined) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Kubernetes builds its parts from folders beside it; published, each is a module of its own, of the same version but for its first number. */
async function moduleOf(folder: string): Promise<string> {
  const told = await go(folder, ["mod", "download", "-json", `k8s.io/kubernetes@v${version}`]);
  const { GoMod: path } = JSON.parse(told) as { readonly GoMod: string };
  const theirs = await readFile(path, "utf8");
  const goVersion = /^go .*$/m.exec(theirs)?.[0] ?? "";
  const parts = [...theirs.matchAll(/^\s+(k8s\.io\/[a-z-]+) => \.\/staging/gm)].map(
    ([, part = ""]) => `replace ${part} => ${part} v${version.replace(/^1/, "0")}`,
  );
  return ["module kube-apiserver", goVersion, `require k8s.io/kubernetes v${version}`, ...parts, ""].join("\n");
}

/** Go takes its mirror, caches and certificates from the environment, so this one command is handed it whole. */
function go(folder: string, args: readonly string[]): Promise<string> {
  return must("go", ["-C", folder, ...args], { env: { ...whole(), GOTOOLCHAIN: "local", CGO_ENABLED: "0" } });
}

function whole(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function cache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "mayfly-servers");
}
