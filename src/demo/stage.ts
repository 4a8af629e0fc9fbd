import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { audience } from "./issuer.ts";

/** Numbers that no account of a host has (systemd keeps them for users that exist only while a service runs). */
export const actors = { broker: 61_301, runner: 61_302, group: 61_303 } as const;

/** The demo's own folder: nothing is read or written elsewhere, and leaving its scope removes it. */
export interface Stage extends Disposable {
  readonly folder: string;
  readonly config: string;
  readonly run: string;
  readonly state: string;
  readonly workspace: string;
  readonly template: string;
  /** A file that only the runner can read; gives its path. */
  give(name: string, content: string): string;
}

const template = `version: 1
template: deploy
owner: team-shop
who:
  issuer: demo-ci
  repository_id: "519283746"
  trust: protected
credentials:
  api: { provider: local, kind: x509, ttl: 10m }
  report: { provider: local, kind: jwt, audience: https://reports.example, ttl: 5m }
sandbox:
  env: { pass: [CI] }
  memory: 256MiB
  timeout: 1m
`;

export function setStage(issuer: string): Stage {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-demo-"));
  const at = (name: string) => join(folder, name);
  const stage = {
    folder,
    config: at("mayfly.yaml"),
    run: at("run"),
    state: at("state"),
    workspace: at("builds/web"),
    template,
  };
  // Traversed by the broker and the runner, listed by nobody else.
  mkdirSync(at("templates"), { mode: 0o755 });
  mkdirSync(stage.workspace, { recursive: true, mode: 0o755 });
  chmodSync(folder, 0o711);
  chownSync(stage.workspace, actors.runner, actors.runner);
  writeFileSync(at("templates/deploy.yaml"), template, { mode: 0o644 });
  writeFileSync(stage.config, configOf(stage, at("templates"), issuer), { mode: 0o644 });
  return {
    ...stage,
    give: (name, content) => {
      const path = at(name);
      writeFileSync(path, content, { mode: 0o400, flag: "wx" });
      chownSync(path, actors.runner, actors.runner);
      return path;
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function configOf(
  { run, state, workspace }: Pick<Stage, "run" | "state" | "workspace">,
  templates: string,
  issuer: string,
): string {
  return `version: 1
user: ${actors.broker}
state: ${state}
run: ${run}
templates: ${templates}
sockets: { group: ${actors.group}, broker: ${actors.group}, audit: ${actors.group}, control: ${actors.group} }
identity: { url: "https://broker.demo.example", origin: demo.example/ledger }
issuers:
  demo-ci: { preset: github, url: "${issuer}", audience: "${audience}", allow_private: true }
providers:
  local: { type: local }
sandbox: { workspaces: ["${dirname(workspace)}"], jobs: 4 }
log: warn
`;
}
