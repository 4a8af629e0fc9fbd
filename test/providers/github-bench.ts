import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Minted, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { hour, systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type GitHub, startGitHub } from "../servers/github.ts";
import { configured } from "./configured.ts";

/** The stand-in for GitHub, a proxy before it that can fail, and a github provider that goes through the proxy. */
export interface GithubBench extends AsyncDisposable {
  readonly hub: GitHub;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  /** The file with the App's key. */
  readonly keyFile: string;
  /** Another provider of the same App. */
  again(config: Readonly<Record<string, unknown>>): Promise<Provider<unknown>>;
  mint(options: unknown, ttl?: number): Promise<Minted>;
}

export const options = { repository_ids: ["519283746"], permissions: { contents: "write", issues: "read" } };

export async function openGithubBench(): Promise<GithubBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-github-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const hub = stack.use(await startGitHub());
  const proxy = stack.use(await FaultProxy.start(hub.port));
  const keyFile = join(folder, "app.pem");
  await writeFile(keyFile, hub.key, { mode: 0o600 });
  const { app, installation } = hub;
  const whole = { app, installation, key_file: keyFile, address: proxy.address, allow_plaintext: true, timeout: "1s" };
  const again = (config: Readonly<Record<string, unknown>>): Promise<Provider<unknown>> =>
    configured("github", { ...whole, ...config }, { authority });
  const provider = await again({});
  const mint = (asked: unknown, ttl = hour): Promise<Minted> => {
    const intent = intentOf({ ttl });
    return provider.mint({
      intent,
      options: asked,
      proof: authority.proofs.mint(intent),
      signal: new AbortController().signal,
    });
  };
  return { hub, proxy, authority, provider, keyFile, again, mint, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

export function tokenOf(material: Material): string {
  if (material.kind !== "bearer") throw new Error(`this is a ${material.kind}`);
  return material.token.use((bytes) => bytes.toString("utf8"));
}
