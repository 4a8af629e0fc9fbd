import type { Material } from "../../../../src/material.ts";
import { fill } from "../../../../src/policy/slots.ts";
import { intentOf } from "../../../conformance/provider.ts";
import { configured } from "../../../providers/configured.ts";
import { audience, engineLogin, openEquippedBench, type VaultBench } from "../../../providers/vault-bench.ts";
import { isLetIn, signsAs, text } from "../../../providers/vault-engines-bench.ts";
import type { Act, Living, OpenStand, Refused } from "../part.ts";

interface Engine {
  readonly options: Readonly<Record<string, unknown>>;
  /** Where OpenBao queues its own leases for it. */
  readonly path?: string;
  readonly granted: (bench: VaultBench) => Act;
  readonly neighbours: (bench: VaultBench) => readonly Act[];
  readonly refusals?: (bench: VaultBench, toxicPort: number) => readonly Refused[];
}

const sql =
  ({ postgres }: VaultBench, statement: string) =>
  async (material: Material): Promise<boolean> => {
    if (material.kind !== "username-password") throw new Error(material.kind);
    const { username: user, password } = material;
    return (await postgres.sql(statement, { user, password: text(password) })).code === 0;
  };

const asToken =
  ({ bao }: VaultBench, method: string, path: string, body?: unknown) =>
  async (material: Material): Promise<boolean> => {
    if (material.kind !== "bearer") throw new Error(material.kind);
    return (await bao.call(method, path, body, text(material.token))).status < 300;
  };

const login =
  ({ bao }: VaultBench, account: string) =>
  (material: Material): Promise<boolean> =>
    signsAs(bao, material, account);

/** What a certificate may be used for is settled when it is signed: so that is asked of OpenBao. */
async function given({ provider, authority }: VaultBench, asked: object): Promise<boolean> {
  const intent = intentOf({ ttl: 600_000 });
  const options = fill(provider.options.parse(asked), {});
  const signal = AbortSignal.timeout(5_000);
  await provider.mint({ intent, options, proof: authority.proofs.mint(intent), signal });
  return true;
}

const engines: Readonly<Record<string, Engine>> = {
  "database login": {
    options: { path: "database/creds/shop-migrate", kind: "dynamic" },
    path: "database/creds/shop-migrate",
    granted: (bench) => ["logs in", sql(bench, "select 1")],
    neighbours: (bench) => [
      ["makes a role", sql(bench, "create role x")],
      ["makes a database", sql(bench, "create database x")],
      ["reads passwords", sql(bench, "select * from pg_authid")],
      ["changes the server", sql(bench, "alter system set fsync = off")],
    ],
    refusals: vaultRefusals,
  },
  "child token": {
    options: { kind: "token", policies: ["shop-read"] },
    granted: (bench) => ["reads its secret", asToken(bench, "GET", "secret/data/ci/519283746")],
    neighbours: (bench) => [
      ["reads another's", asToken(bench, "GET", "secret/data/other/1")],
      ["writes its own", asToken(bench, "POST", "secret/data/ci/519283746", { data: { token: "x" } })],
      ["makes a token", asToken(bench, "POST", "auth/token/create", {})],
      ["renews itself", asToken(bench, "POST", "auth/token/renew-self", {})],
    ],
  },
  certificate: {
    options: { kind: "pki", path: "pki/issue/revocable", common_name: "a.jobs.example.com", revocable: true },
    path: "pki/issue/revocable",
    granted: (bench) => ["is let in", (material) => isLetIn(bench.bao, material)],
    neighbours: (bench) =>
      ["a.elsewhere.example.com", "b.example.com", "example.com", "jobs.example.com.evil.example"].map(
        (name): Act => [
          `is had for ${name}`,
          () => given(bench, { kind: "pki", path: "pki/issue/revocable", common_name: name, revocable: true }),
        ],
      ),
  },
  "ssh certificate": {
    options: { kind: "ssh", path: "ssh/sign/ci", principals: ["deploy"] },
    granted: (bench) => ["signs as deploy", login(bench, "deploy")],
    neighbours: (bench) => ["root", "app", "deploy2", "deplo"].map((one): Act => [`signs as ${one}`, login(bench, one)]),
  },
};

export const vault: Readonly<Record<string, OpenStand>> = Object.fromEntries(
  Object.entries(engines).map(([name, engine]) => [`vault ${name}`, (opening) => open(name, engine, opening)]),
);

async function open(name: string, engine: Engine, opening: Parameters<OpenStand>[0]): ReturnType<OpenStand> {
  const bench = await openEquippedBench();
  const toxicPort = await opening.before(bench.proxy.port);
  const provider = opening.spoil(await entry(bench, toxicPort, {}));
  return {
    name: `vault ${name}`,
    provider,
    proofs: bench.authority.proofs,
    options: fill(provider.options.parse(engine.options), {}),
    ttl: 600_000,
    outside: new Set(),
    way: { faults: bench.proxy, toxicPort },
    granted: engine.granted(bench),
    neighbours: engine.neighbours(bench),
    living: () => living(bench, engine.path),
    refusals: engine.refusals?.(bench, toxicPort) ?? [],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

function entry({ authority }: VaultBench, port: number, part: object): ReturnType<typeof configured> {
  const whole = {
    address: `http://127.0.0.1:${port}`,
    allow_plaintext: true,
    login: engineLogin,
    sweeper: { role: "sweeper" },
    timeout: "1500ms",
  };
  return configured("vault", { ...whole, ...part }, { authority });
}

/** OpenBao's tokens, each with its lease; its own leases and PostgreSQL's roles, which are named after none. */
async function living({ bao, postgres }: VaultBench, path: string | undefined): Promise<readonly Living[]> {
  const accessors = await bao.tokens();
  const tokens = await Promise.all(
    accessors.map(async (accessor) => {
      const { body } = await bao.call("POST", "auth/token/lookup-accessor", { accessor });
      const meta = body.data?.["meta"] as Readonly<Record<string, string>> | null | undefined;
      return { what: `the token ${accessor}`, lease: meta?.["lease"] };
    }),
  );
  const leases = path === undefined ? [] : await aliveBelow(bao, path);
  const roles = (await postgres.sql("select rolname from pg_roles where rolname like 'v-%'")).stdout
    .split("\n")
    .filter(Boolean);
  return [...tokens, ...[...leases, ...roles].map((what) => ({ what, lease: undefined }))];
}

/** What has been revoked may still be listed for a moment as certificates are; it then has no life left. */
async function aliveBelow(bao: VaultBench["bao"], path: string): Promise<readonly string[]> {
  const leases = await bao.leases(path);
  const states = await Promise.all(
    leases.map(async (id) => ({ id, ...(await bao.call("POST", "sys/leases/lookup", { lease_id: id })) })),
  );
  return states.filter(({ body }) => body.data !== undefined && body.data !== null).map(({ id }) => id);
}

function vaultRefusals(bench: VaultBench, port: number): readonly Refused[] {
  const { proxy, bao } = bench;
  const other = (part: object) => async () => ({ provider: await entry(bench, port, part) });
  const answers =
    (status: number, said: string, headers = {}) =>
    (): Promise<undefined> => {
      proxy.next({ kind: "answer", status, body: said, headers }, { path: "/login" });
      return Promise.resolve(undefined);
    };
  const early = JSON.stringify({
    errors: ["error validating token: invalid issued at (iat) claim: token issued in the future"],
  });
  return [
    {
      what: "wrong audience",
      code: "provider-refused",
      arrange: other({ login: { ...engineLogin, audience: `${audience}/x` } }),
    },
    { what: "unknown login role", code: "provider-refused", arrange: other({ login: { ...engineLogin, role: "nobody" } }) },
    {
      what: "unknown database role",
      code: "provider-refused",
      arrange: () => Promise.resolve({ options: { path: "database/creds/none", kind: "dynamic" } }),
    },
    {
      what: "sealed",
      code: "provider-unavailable",
      arrange: () => bao.seal().then(() => undefined),
      tidy: () => bao.unseal(),
    },
    { what: "standby", code: "provider-unavailable", arrange: answers(307, "", { location: "https://10.0.0.2:8200/" }) },
    { what: "throttled", code: "provider-unavailable", arrange: answers(429, '{"errors":["rate limit quota exceeded"]}') },
    { what: "clock skew", code: "provider-refused", arrange: answers(400, early) },
  ];
}
