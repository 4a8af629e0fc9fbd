import { type Delivery, deliverable, deliverySchema } from "../src/delivery/delivery.ts";
import type { House } from "../src/house.ts";
import { issuerWords } from "../src/identity/issuers/issuer-words.ts";
import { compileProfiles, issuersSchema } from "../src/identity/issuers/issuers.ts";
import { noHistory } from "../src/identity/keys/key-history.ts";
import { createVerifier } from "../src/identity/verify.ts";
import { compileTemplates } from "../src/policy/language/compile.ts";
import type { Policy } from "../src/policy/policy.ts";
import { sandboxConfigSchema } from "../src/sandbox/config.ts";
import { isolationRoom } from "../src/sandbox/isolation-room.ts";
import type { Isolation } from "../src/sandbox/sandbox.ts";
import { systemClock } from "../src/time.ts";
import { audience, githubClaims, headerOf, rsaKey, signed, type TestKey } from "./identity/issuer.ts";
import { type JobStage, openJobStage } from "./job-stage.ts";

/*
 * A real verifier with keys of its own, real templates and the real ledger. `fresh` is shorter than mayfly.yaml takes it, so that
 * the tests are; the sandbox's job goes on until it is told to end.
 */

const url = "https://token.actions.githubusercontent.com";
const key = rsaKey("k1");
const issuers = issuersSchema.parse({ ci: { preset: "github", url, audience, jwks: { keys: [key.jwk] } } });

/** What decides: as it was, with another `who`, and without the credential. */
export type PolicyName = "granting" | "withdrawn" | "smaller";

export interface RenewalStage extends AsyncDisposable {
  readonly house: House;
  readonly ledger: JobStage["ledger"];
  readonly folder: string;
  readonly policies: Readonly<Record<PolicyName, Policy<Delivery, Isolation>>>;
}

/** `fresh` in milliseconds; half of it is the time to answer, as `src/renewal.ts` promises. */
export async function openRenewalStage(fresh: number): Promise<RenewalStage> {
  const stage = await openJobStage();
  const profiles = compileProfiles(issuers, () => "").map((profile) => ({ ...profile, fresh }));
  const never = (): never => {
    throw new Error("its keys are its own");
  };
  const verifier = createVerifier({ profiles, fetch: never, readFile: never, clock: systemClock, history: noHistory });
  const policies = {
    granting: policyOf(stage, template("refs/heads/main", "api")),
    withdrawn: policyOf(stage, template("refs/heads/other", "api")),
    smaller: policyOf(stage, template("refs/heads/main", "other")),
  };
  // Where this host's own control group cannot be read, a session can be bound to nothing else.
  const house = { ...stage.house, verifier, policy: () => policies.granting, boundTo: "user" as const };
  return { ...stage, house, policies };
}

const template = (ref: string, credential: string): string => `version: 1
template: long
who:
  issuer: ci
  repository_id: "456789"
  ref: ${ref}
  not: { event_name: [pull_request_target, workflow_run, issue_comment] }
credentials: { ${credential}: { provider: local, kind: x509, ttl: 10m } }
sandbox: { memory: 256MiB, timeout: 1m }
accept: { trust-missing: "its branch is asked for in full" }
`;

function policyOf({ house }: JobStage, text: string): Policy<Delivery, Isolation> {
  const providers = new Map(
    [...house.minting.providers].map(([name, provider]) => [name, { ...provider, type: name, endpoints: [] }] as const),
  );
  const isolation = isolationRoom(sandboxConfigSchema.parse({}));
  const rooms = { delivery: deliverySchema, isolation, deliverable, issuers: issuerWords(issuers), providers };
  const compiled = compileTemplates([{ file: "long.yaml", text }], rooms);
  if (compiled.kind === "policy") return compiled.policy;
  throw new Error(JSON.stringify(compiled.problems));
}

/** A token of the one CI job that this is about, with a jti of its own. */
export function tokenText(changes: Readonly<Record<string, unknown>> = {}, signer: TestKey = key): string {
  const second = Math.floor(Date.now() / 1_000);
  return signed(signer, headerOf(key), githubClaims(url, { nbf: second - 5, iat: second - 5, exp: second + 300, ...changes }));
}
