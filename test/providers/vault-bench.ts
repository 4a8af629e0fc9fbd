import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { catalogue } from "../../providers/catalogue.ts";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { Provider } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type OpenBao, startOpenBao, trustBroker } from "../servers/openbao.ts";
import { type Postgres, startPostgres } from "../servers/postgres.ts";

/** A real OpenBao over a real PostgreSQL, a proxy before it that can fail, and a vault provider that goes through the proxy. */
export interface VaultBench extends AsyncDisposable {
  readonly bao: OpenBao;
  readonly postgres: Postgres;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
}

export const audience = "https://vault.test";

export async function openVaultBench(config: Readonly<Record<string, unknown>> = {}): Promise<VaultBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const postgres = stack.use(await startPostgres());
  const bao = stack.use(await startOpenBao());
  const { issuer, pem } = authority.publicKeys().proofs;
  await trustBroker(bao, { publicKey: pem, issuer, audience, postgres });
  const proxy = stack.use(await FaultProxy.start(bao.port));
  const vault = catalogue.get("vault");
  if (vault === undefined) throw new Error("the catalogue has no vault");
  const whole = {
    address: proxy.address,
    allow_plaintext: true,
    login: { mount: "mayfly", role: "job", audience },
    sweeper: { role: "sweeper" },
    timeout: "1s",
    ...config,
  };
  const provider = vault.configure(whole, { clock: systemClock, authority });
  return { bao, postgres, proxy, authority, provider, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
