import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import { systemClock } from "../../src/time.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type OpenBao, startOpenBao, trustBroker } from "../servers/openbao.ts";
import { equip } from "../servers/openbao-engines.ts";
import { type Postgres, startPostgres } from "../servers/postgres.ts";
import { configured } from "./configured.ts";

/** A real OpenBao over a real PostgreSQL, a proxy before it that can fail, and a vault provider that goes through the proxy. */
export interface VaultBench extends AsyncDisposable {
  readonly bao: OpenBao;
  readonly postgres: Postgres;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
}

export const audience = "https://vault.test";

type Entry = Readonly<Record<string, unknown>>;

/** What is written otherwise in mayfly.yaml than for a broker that logs in with its own proof. */
export type Otherwise = (made: {
  readonly bao: OpenBao;
  readonly folder: string;
}) => Promise<{ readonly as?: ProofKind; readonly entry: Entry }>;

export async function openVaultBench(config: Entry = {}): Promise<VaultBench> {
  return openBench(
    () => Promise.resolve({ entry: config }),
    () => Promise.resolve(),
  );
}

/** With every engine and login there is (`test/servers/openbao-engines.ts`). */
export function openEquippedBench(
  otherwise: Otherwise = () => Promise.resolve({ entry: { login: engineLogin } }),
): Promise<VaultBench> {
  return openBench(otherwise, (bao, postgres) => equip(bao, { audience, postgres }));
}

/** Logs in as the role of `openbao-engines.ts`. */
export const engineLogin = { mount: "mayfly", role: "engines", audience };

async function openBench(
  otherwise: Otherwise,
  equipped: (bao: OpenBao, postgres: Postgres) => Promise<void>,
): Promise<VaultBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  const postgres = stack.use(await startPostgres());
  const bao = stack.use(await startOpenBao());
  const { issuer, pem } = authority.publicKeys().proofs;
  await trustBroker(bao, { publicKey: pem, issuer, audience, postgres });
  await equipped(bao, postgres);
  const { as, entry } = await otherwise({ bao, folder });
  const proxy = stack.use(await FaultProxy.start(bao.port));
  const whole = {
    address: proxy.address,
    allow_plaintext: true,
    login: { mount: "mayfly", role: "job", audience },
    sweeper: { role: "sweeper" },
    timeout: "1s",
    ...entry,
  };
  const provider = await configured("vault", whole, { authority, ...(as === undefined ? {} : { as }) });
  return { bao, postgres, proxy, authority, provider, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
