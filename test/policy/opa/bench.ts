import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Grant } from "../../../src/policy/grant.ts";
import { readBundle } from "../../../src/policy/opa/bundle.ts";
import { lastWordSchema } from "../../../src/policy/opa/config.ts";
import type { LastWord } from "../../../src/policy/opa/last-word.ts";
import { lastWordOf } from "../../../src/policy/opa/opa.ts";
import type { Limits } from "../../../src/policy/opa/question.ts";
import type { Rego } from "../../../src/policy/opa/rego.ts";
import { regoServer } from "../../../src/policy/opa/server.ts";
import { regoInBundle } from "../../../src/policy/opa/wasm.ts";
import { systemClock } from "../../../src/time.ts";

export type Word = LastWord<undefined, Limits>;

export const limits: Limits = { memory: 1, cpus: 2, pids: 3, timeout: 4, image: null, tolerate: {} };

export const grant: Grant<undefined, Limits> = {
  kind: "granted",
  template: "deploy/production",
  policy: "ab".repeat(32),
  step: "ship",
  reason: "it matched",
  identity: {
    issuer: "ci",
    subject: "repo:shop/web:ref:refs/heads/main",
    workload: "ci:519283746",
    job: "ci:519283746:1001",
    trust: "protected",
    claims: { ref: "refs/heads/main", repository_id: "519283746", run_attempt: 1, ref_protected: true, groups: ["a", "b"] },
    token: { key: "a-token-key", expiresAt: 2_000_000_000_000 },
  },
  credentials: ["aws", "db"].map((name) => ({
    name,
    provider: `${name}-main`,
    options: { path: `database/creds/${name}` },
    ttl: 600_000,
    deliver: undefined,
    wait: 0,
    optional: name === "db",
  })),
  command: ["npm", "run", "ship"],
  workspace: "read-only",
  network: [{ host: "db.example.com", port: 5432, from: undefined }],
  isolation: limits,
  observe: undefined,
};

export function wordOf(rego: Rego): Word {
  return lastWordOf(rego, { clock: systemClock, random: randomBytes, limits: (isolation) => isolation });
}

/** `longest` is more than the broker's own, since a machine that runs tests may be busy with others. */
export async function wordInBundle(path: string, decision = "mayfly/decision", longest = 60_000): Promise<Word> {
  return wordOf(await regoInBundle(readBundle(readFileSync(path)), decision, { clock: systemClock, longest }));
}

/** `part` is what stands under `last_word` in mayfly.yaml. */
export function wordOfServer(part: object, authority?: string): Word {
  const config = lastWordSchema.parse(part);
  if (config.kind === "bundle") throw new Error("not a server");
  return wordOf(regoServer(config, authority));
}

/** For a certain run: the claims of its identity are what the policies of tests look at. */
export function grantTo(claims: Grant<undefined, Limits>["identity"]["claims"]): Grant<undefined, Limits> {
  return { ...grant, identity: { ...grant.identity, claims } };
}

/** What it gave, or the code and the operator's detail of why nothing came. */
export async function heard(word: Word, asked = grant): Promise<unknown> {
  const signal = new AbortController().signal;
  return word.ask(asked, signal).then(
    ({ outcome }) => {
      if (outcome.kind === "denied") return { [outcome.code]: outcome.trace[0]?.lines[0]?.found };
      return Object.fromEntries(outcome.credentials.map(({ name, ttl }) => [name, ttl / 1_000]));
    },
    ({ code, detail }: { readonly code: string; readonly detail: string }) => `${code}: ${detail}`,
  );
}
