import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { BrokerError } from "../../../src/errors.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { issuerWords } from "../../../src/identity/issuers/issuer-words.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import { issuerFetch } from "../../../src/identity/keys/network.ts";
import { createVerifier, type Verifier, type VerifierParts } from "../../../src/identity/verify.ts";
import { decide } from "../../../src/policy/decide.ts";
import { compileTemplates } from "../../../src/policy/language/compile.ts";
import type { Policy } from "../../../src/policy/policy.ts";
import { Secret } from "../../../src/secret.ts";
import { rooms } from "../../policy/rooms.ts";
import { audience, discovery, headerOf, now, rsaKey, startIssuer, type TestIssuer } from "../issuer.ts";
import { ManualClock } from "../manual-clock.ts";
import { genericClaims, issuers, keys, signedBy } from "./makers.ts";
import { templates } from "./meaning.ts";
import { servedWeakKeys } from "./weak-keys.ts";

/** Issuers on loopback that misbehave while their keys are looked for. */
export type Misbehaving = "liar" | "redirects" | "redirects-keys";

/** Where bad tokens are presented: a real verifier, real templates, and whoever would be called if a token had its way. */
export interface Stage extends AsyncDisposable {
  readonly verifier: Pick<Verifier, "verify">;
  /** Verified, and then granted by one of the templates; rejects with the refusal. */
  present(token: string): Promise<Identity>;
  /** An address on this host at which nobody has any business. */
  readonly trap: string;
  /** How often somebody connected to it. */
  readonly connections: () => number;
  /** How often the verifier went out for anything but the misbehaving issuers' own documents. */
  readonly fetches: () => number;
  /** A token, rightly signed, of an issuer that misbehaves. */
  discovered(issuer: Misbehaving): string;
}

const discoveredKey = rsaKey("d1");
const poisonedFile = "/etc/mayfly/poisoned.jwks";

/** The issuers of the stage as mayfly.yaml has them. */
export function stageConfig(urls: Readonly<Record<Misbehaving, string>>) {
  const generic = { audience, workload: ["project"], job: ["job"] };
  const inline = (...served: readonly { readonly jwk: unknown }[]) => ({ jwks: { keys: served.map(({ jwk }) => jwk) } });
  const discovering = (url: string) => ({ ...generic, url, allow_private: true });
  return issuersSchema.parse({
    github: {
      preset: "github",
      audience,
      jwks: {
        keys: [
          keys.github.jwk,
          { ...keys.plain.jwk, alg: undefined },
          keys.generic.jwk,
          { ...keys.encryption.jwk, use: "enc" },
          { kty: "oct", kid: "oct", k: Buffer.alloc(32, 7).toString("base64url") },
        ].map(written),
      },
    },
    enterprise: { preset: "github", url: issuers.enterprise, audience, ...inline(keys.enterprise) },
    generic: {
      ...generic,
      url: issuers.generic,
      algorithms: ["ES256"],
      type: "at+jwt",
      jti: "absent",
      max_size: 16_384,
      trust: { protected: { ref_protected: "true" } },
      ...inline(keys.generic),
    },
    poisoned: {
      ...generic,
      url: issuers.poisoned,
      algorithms: ["RS256", "ES256", "EdDSA"],
      // Written out, they would not load.
      jwks: { file: poisonedFile },
    },
    shared: { ...generic, url: issuers.shared, audience: `${audience}/shared`, ...inline(keys.shared) },
    sharing: { ...generic, url: issuers.sharing, audience: `${audience}/sharing`, ...inline(keys.shared) },
    liar: discovering(urls.liar),
    redirects: discovering(urls.redirects),
    "redirects-keys": discovering(urls["redirects-keys"]),
  });
}

/** Without members that are not there: YAML has no `undefined`. */
function written(jwk: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(jwk)) as Readonly<Record<string, unknown>>;
}

/** How a verifier is made; a proof that wants to see itself fail hands in another way. */
export type MakeVerifier = (parts: VerifierParts) => Pick<Verifier, "verify">;

export async function openStage(make: MakeVerifier = createVerifier): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const trap = stack.use(await startTrap());
  const misbehaving = await startMisbehaving(stack);
  const urls = {
    liar: misbehaving.liar.url,
    redirects: misbehaving.redirects.url,
    "redirects-keys": misbehaving["redirects-keys"].url,
  };
  const config = stageConfig(urls);
  let fetches = 0;
  const verifier = make({
    profiles: compileProfiles(config, () => ""),
    fetch: (url, options) => {
      if (!Object.values(urls).some((own) => url.startsWith(own))) fetches += 1;
      return issuerFetch(url, options);
    },
    readFile: (path) =>
      path === poisonedFile
        ? Promise.resolve(Buffer.from(JSON.stringify({ keys: servedWeakKeys.map(written) })))
        : Promise.reject(new Error("no other file is named")),
    clock: new ManualClock(now),
    history: noHistory,
  });
  const policy = compileTemplates(
    Object.entries(templates).map(([name, text]) => ({ file: `${name}.yaml`, text })),
    { ...rooms, issuers: issuerWords(config) },
  );
  if (policy.kind !== "policy") throw new Error(JSON.stringify(policy));
  const kept = stack.move();
  return {
    verifier,
    present: (token) => present(verifier, policy.policy, token),
    trap: trap.url,
    connections: trap.connections,
    fetches: () => fetches,
    discovered: (issuer) =>
      signedBy(discoveredKey, headerOf(discoveredKey), genericClaims({ iss: urls[issuer], jti: crypto.randomUUID() })),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function present<D, I>(verifier: Stage["verifier"], policy: Policy<D, I>, token: string): Promise<Identity> {
  const identity = await verifier.verify(Secret.of(token), AbortSignal.timeout(10_000));
  const decision = decide(policy, { identity, template: undefined, step: undefined, command: ["true"], now });
  if (decision.kind === "denied") throw new BrokerError(decision.code, decision.message);
  return identity;
}

/** Whatever it is asked for, by whatever protocol: only that somebody came counts. */
async function startTrap(): Promise<{ readonly url: string; readonly connections: () => number } & AsyncDisposable> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function startMisbehaving(stack: AsyncDisposableStack): Promise<Readonly<Record<Misbehaving, TestIssuer>>> {
  const start = async (): Promise<TestIssuer> => stack.use(await startIssuer(() => ({ keys: [discoveredKey.jwk] })));
  const [liar, redirects, redirectsKeys, honest] = [await start(), await start(), await start(), await start()];
  liar.answers.set(discovery, (_, response) =>
    response.end(JSON.stringify({ issuer: honest.url, jwks_uri: `${liar.url}/jwks` })),
  );
  redirects.answers.set(discovery, (_, response) => response.writeHead(302, { location: `${redirects.url}/moved` }).end());
  redirects.answers.set("/moved", (_, response) =>
    response.end(JSON.stringify({ issuer: redirects.url, jwks_uri: `${redirects.url}/jwks` })),
  );
  redirectsKeys.answers.set("/jwks", (_, response) => response.writeHead(307, { location: `${honest.url}/jwks` }).end());
  return { liar, redirects, "redirects-keys": redirectsKeys };
}
