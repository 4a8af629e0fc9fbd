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
`,
  unmaskable: `version: 1
template: unmaskable
${who}credentials:
  ci: { provider: bao, path: "secret/data/ci/{repository_id}", ttl: 10m }
sandbox: { memory: 256MiB, timeout: 1m }
`,
} as const;
