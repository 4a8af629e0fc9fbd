import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePort, must, type ServerProcess, startProcess } from "./process.ts";

/**
 * moto: shapes of AWS's answers and errors, written by others from AWS's own models. It checks neither signatures nor policies, so it proves
 * that we speak Secrets Manager, SSM and IAM, and nothing about security. Every package is pinned; PyPI never replaces a version's files.
 */
const version = "5.2.5";
const packages = [
  `moto==${version}`,
  "blinker==1.9.0",
  "boto3==1.44.5",
  "botocore==1.44.5",
  "certifi==2026.10.18",
  "cffi==2.1.1",
  "charset-normalizer==3.5.2",
  "click==8.5.1",
  "cryptography==50.0.2",
  "Flask==3.1.3",
  "flask-cors==6.0.5",
  "idna==3.20",
  "itsdangerous==2.2.0",
  "Jinja2==3.1.6",
  "jmespath==1.1.0",
  "MarkupSafe==3.0.4",
  "pycparser==3.12",
  "python-dateutil==2.9.0.post0",
  "PyYAML==6.0.3",
  "requests==2.34.2",
  "responses==0.26.3",
  "s3transfer==0.19.3",
  "six==1.17.0",
  "urllib3==2.8.0",
  "Werkzeug==3.1.9",
  "xmltodict==1.0.4",
];

function motoPath(): string {
  return join(cache(), `moto-${version}`);
}

/** Why the tests that need it cannot run here; undefined where they can. */
export function motoMissing(): string | undefined {
  return existsSync(motoPath()) ? undefined : `moto is not at ${motoPath()}: run scripts/setup.sh --tests`;
}

export async function fetchMoto(): Promise<void> {
  if (motoMissing() !== undefined) await install();
  const printed = await must("python3", ["-c", "import moto; print(moto.__version__)"], { env: { PYTHONPATH: motoPath() } });
  if (printed.trim() !== version) throw new Error(`${motoPath()} says it is ${printed.slice(0, 100)}`);
}

async function install(): Promise<void> {
  await mkdir(cache(), { recursive: true });
  const folder = await mkdtemp(join(cache(), "fetching-"));
  try {
    const target = join(folder, "done");
    const install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", "--target", target];
    await must("python3", [...install, ...packages], { env: whole() });
    await rename(target, motoPath()).catch((error: unknown) => {
      if (motoMissing() !== undefined) throw error;
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function startMoto(): Promise<{ readonly port: number } & ServerProcess> {
  const port = await freePort();
  const server = await startProcess({
    command: "python3",
    args: ["-m", "moto.server", "-H", "127.0.0.1", "-p", String(port)],
    env: { PYTHONPATH: motoPath(), HOME: "/nonexistent", AWS_ACCESS_KEY_ID: "testing", AWS_SECRET_ACCESS_KEY: "testing" },
    ready: async () => (await fetch(`http://127.0.0.1:${port}/moto-api/`)).status === 200,
  });
  return Object.assign(server, { port });
}

function whole(): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(process.env).filter((pair): pair is [string, string] => pair[1] !== undefined));
}

function cache(): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "mayfly-servers");
}
