import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { opaPath } from "./opa-binary.ts";
import { freePort, must, startProcess } from "./process.ts";

/** A real OPA server on loopback that has one policy. */
export interface Opa extends AsyncDisposable {
  readonly address: string;
  /** The path of its Unix socket. */
  readonly socket: string;
  /** What it printed, its decision log among it: one JSON object a line. */
  output(): string;
  stop(): Promise<void>;
}

export interface OpaOptions {
  /** Who may ask, by this bearer token; everybody where it is left out. */
  readonly token?: string;
  /** Where it is to be found; any port where it is left out. */
  readonly port?: number;
}

export async function startOpa(rego: string, data: object = {}, { token, port: asked }: OpaOptions = {}): Promise<Opa> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-opa-"));
  const port = asked ?? (await freePort());
  const [address, socket] = [`http://127.0.0.1:${port}`, join(folder, "opa.sock")];
  const guard = `package system.authz\ndefault allow := false\nallow if input.identity == ${JSON.stringify(token)}\nallow if input.path == ["health"]\n`;
  const secured = token === undefined ? [] : ["--authentication=token", "--authorization=basic", join(folder, "authz.rego")];
  writeFileSync(join(folder, "policy.rego"), rego);
  writeFileSync(join(folder, "data.json"), JSON.stringify(data));
  if (token !== undefined) writeFileSync(join(folder, "authz.rego"), guard);
  const server = await startProcess({
    command: opaPath(),
    args: [
      "run",
      "--server",
      "--disable-telemetry",
      "--set=decision_logs.console=true",
      `--addr=127.0.0.1:${port}`,
      `--addr=unix://${socket}`,
      ...secured,
      join(folder, "policy.rego"),
      join(folder, "data.json"),
    ],
    env: { HOME: "/nonexistent" },
    ready: async () => (await fetch(`${address}/health`)).status === 200,
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { address, socket, output: () => server.output(), stop, [Symbol.asyncDispose]: stop };
}

/** Compiles with the real `opa build` and gives the path of the bundle. */
export async function buildBundle(folder: string, rego: string, data: object = {}): Promise<string> {
  const [policy, content, bundle] = [join(folder, "policy.rego"), join(folder, "data.json"), join(folder, "bundle.tar.gz")];
  writeFileSync(policy, rego);
  writeFileSync(content, JSON.stringify(data));
  await must(opaPath(), ["build", "--target", "wasm", "--entrypoint", "mayfly/decision", "--output", bundle, policy, content]);
  return bundle;
}
