import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { catalogue } from "../providers/catalogue.ts";
import { type Config, loadConfig, settings } from "../src/config.ts";
import type { Identity } from "../src/identity/identity.ts";
import { lastWordSource } from "../src/last-word.ts";
import { openAuthority } from "../src/lease/authority.ts";
import type { Entry, Event } from "../src/ledger/entry.ts";
import type { Ledger } from "../src/ledger/ledger.ts";
import { loadLedger } from "../src/ledger/thread.ts";
import { createLog } from "../src/log.ts";
import type { PolicyFiles } from "../src/policy-files.ts";
import type { PolicyParts } from "../src/policy-in-force.ts";
import { configureProviders, roomsOf } from "../src/rooms.ts";
import { systemClock } from "../src/time.ts";

/** Templates on disk, a real ledger and the broker's own rooms. */
export interface PolicyStage extends AsyncDisposable {
  readonly folder: string;
  readonly templates: string;
  readonly files: PolicyFiles;
  readonly parts: PolicyParts;
  readonly log: readonly string[];
  /** Writes `NAME.yaml`, in the folder of templates. */
  put(name: string, content: string): string;
  entries<Kind extends Event["kind"]>(kind: Kind): Promise<readonly Extract<Event, { kind: Kind }>[]>;
  allEntries(): Promise<readonly Entry[]>;
}

/** Lines of mayfly.yaml besides those that every stage has. */
export async function openPolicyStage(more: (folder: string) => string = () => ""): Promise<PolicyStage> {
  const folder = mkdtempSync(join(tmpdir(), "mayfly-policy-"));
  const templates = join(folder, "templates");
  mkdirSync(templates);
  writeFileSync(join(folder, "mayfly.yaml"), `${yaml}\n${more(folder)}\n`);
  const config = loadConfig(join(folder, "mayfly.yaml"), { ...settings({}), templates });
  const loaded = await loadLedger();
  const key = generateKeyPairSync("ed25519").privateKey;
  const ledger = await loaded.open({ path: join(folder, "ledger.db"), key, origin: "mayfly.test/policy", clock: systemClock });
  const lines: string[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => lines.push(line) }, clock: systemClock });
  const files = await filesOf(config, folder);
  const allEntries = () => entriesOf(ledger);
  return {
    folder,
    templates,
    files,
    parts: { files, ledger, log },
    log: lines,
    put: (name, content) => {
      const path = join(templates, `${name}.yaml`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content, { mode: 0o644 });
      return path;
    },
    allEntries,
    async entries<Kind extends Event["kind"]>(kind: Kind) {
      const isKind = (event: Event): event is Extract<Event, { kind: Kind }> => event.kind === kind;
      return (await allEntries()).map(({ event }) => event).filter(isKind);
    },
    [Symbol.asyncDispose]: async () => {
      await ledger[Symbol.asyncDispose]();
      await loaded.stop().catch(() => undefined);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const yaml = `version: 1
issuers:
  ci: { preset: github, url: "https://token.actions.githubusercontent.com", audience: "https://mayfly.example.com" }
providers:
  local: { type: local }
sandbox: { workspaces: ["/srv/builds"] }`;

/** Its keys take long to make, and no template looks at them. */
let authority: ReturnType<typeof openAuthority> | undefined;

async function filesOf(config: Config, folder: string): Promise<PolicyFiles> {
  const clock = systemClock;
  authority ??= openAuthority({ folder, issuerUrl: "https://broker.example.com", clock, random: randomBytes });
  const owners = [0, process.geteuid?.() ?? 0];
  return {
    folder: { path: config.templates, owners },
    rooms: roomsOf(config, await configureProviders(config, catalogue, { clock, authority: await authority })),
    lastWord: lastWordSource(config, owners, clock),
    clock,
  };
}

function entriesOf(ledger: Ledger): Promise<readonly Entry[]> {
  return ledger.entries({ from: 0, limit: 5_000 });
}

/** A template that gives one credential to the jobs of one repository. */
export function template(name: string, ttl = "10m", repository = "519283746"): string {
  return `version: 1
template: ${name}
who: { issuer: ci, repository_id: "${repository}", trust: protected }
credentials:
  api: { provider: local, kind: jwt, audience: "https://${ttl}.example.com", ttl: ${ttl} }
sandbox: { memory: 256MiB, timeout: 1m }
`;
}

export const identity: Identity = {
  issuer: "ci",
  subject: "repo:shop/web:ref:refs/heads/main",
  workload: "ci:519283746",
  job: "ci:519283746:1",
  trust: "protected",
  claims: Object.assign(Object.create(null), { repository_id: "519283746", ref: "refs/heads/main" }),
  token: { key: "a-token", expiresAt: 2_000_000_000_000 },
};
