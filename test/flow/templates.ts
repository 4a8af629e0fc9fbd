const who = `who:
  issuer: ci
  repository_id: "519283746"
  trust: protected
`;

/** Templates of the flow's tests: one for each provider, one with steps, and one whose secret is too short to be masked. */
export const templates = {
  local: `version: 1
template: local
${who}credentials:
  api: { provider: local, kind: x509, ttl: 10m }
  report: { provider: local, kind: jwt, audience: https://reports.test, ttl: 5m }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  migrate: `version: 1
template: migrate
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  steps: `version: 1
template: steps
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m }
  api: { provider: local, kind: jwt, audience: https://reports.test, ttl: 5m }
steps:
  build: { credentials: [api] }
  migrate: { credentials: [db], workspace: read-only }
  pinned: { run: ["echo", "as pinned"], credentials: [] }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  stored: `version: 1
template: stored
${who}credentials:
  ci: { provider: bao, path: "secret/data/ci/{repository_id}", ttl: 10m, deliver: { files: { token: token } } }
sandbox: { memory: 256MiB, timeout: 1m }
accept: { static-secret: "what a stored value does is what these tests are about" }
`,
  unmaskable: `version: 1
template: unmaskable
${who}credentials:
  ci: { provider: bao, path: "secret/data/ci/{repository_id}", ttl: 10m }
sandbox: { memory: 256MiB, timeout: 1m }
accept: { static-secret: "what a stored value does is what these tests are about" }
`,
} as const;

/** What only some of the flow's tests are about. */
export const more = {
  /** With an image, which no sandbox has yet. */
  imaged: `version: 1
template: imaged
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m }
sandbox: { memory: 256MiB, timeout: 1m, image: "registry.example.com/ci/node@sha256:${"0".repeat(64)}" }
`,
  /** With a network, which no sandbox has yet. */
  connected: `version: 1
template: connected
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m }
network: ["db.example.com:5432"]
sandbox: { memory: 256MiB, timeout: 1m }
`,
  patient: `version: 1
template: patient
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m, wait: 20s }
  api: { provider: local, kind: jwt, audience: https://reports.test, ttl: 5m }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  optional: `version: 1
template: optional
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m, wait: 500ms, optional: true }
  api: { provider: local, kind: jwt, audience: https://reports.test, ttl: 5m }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  /** Nothing of it is needed. */
  dispensable: `version: 1
template: dispensable
${who}credentials:
  db: { provider: bao, path: database/creds/shop-migrate, ttl: 10m, optional: true }
sandbox: { memory: 256MiB, timeout: 1m }
`,
  /** Its limits are only observed, until long after these tests. */
  watched: `version: 1
template: watched
${who}credentials: {}
observe: { parts: [limits], until: "${new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10)}" }
sandbox: { memory: 16MiB, timeout: 1m }
`,
} as const;
