import { resolve } from "node:path";
import { plugin } from "../../../../providers/plugin.ts";
import { type BoundType, bind } from "../../../../src/lease/bind.ts";
import type { Material } from "../../../../src/material.ts";
import { fill } from "../../../../src/policy/slots.ts";
import { systemClock } from "../../../../src/time.ts";
import * as githubBench from "../../../providers/github-bench.ts";
import * as kubernetesBench from "../../../providers/kubernetes-bench.ts";
import { lodge, type TestLodging } from "../../../providers/lodging.ts";
import * as postgresBench from "../../../providers/postgres-bench.ts";
import { sampleInProcess } from "../../../providers/sample-in-process.ts";
import { FaultProxy } from "../../../servers/fault-proxy.ts";
import { startTokenService } from "../../../servers/token-service.ts";
import type { Act, OpenStand } from "../part.ts";
import { answering, listOf } from "./clouds.ts";
import { openKeys } from "./keys.ts";

export const github: OpenStand = async (opening) => {
  const bench = await githubBench.openGithubBench();
  const { hub, proxy } = bench;
  const toxicPort = await opening.before(proxy.port);
  const act =
    (method: string, path: string) =>
    async (material: Material): Promise<boolean> =>
      (await hub.use(githubBench.tokenOf(material), method, path)) < 300;
  const { options } = githubBench;
  const late = (): Promise<undefined> => {
    hub.ahead = -900;
    return Promise.resolve(undefined);
  };
  const inTime = (): Promise<void> => {
    hub.ahead = 0;
    return Promise.resolve();
  };
  return {
    name: "github",
    provider: opening.spoil(await bench.again({ address: `http://127.0.0.1:${toxicPort}` })),
    proofs: bench.authority.proofs,
    options,
    ttl: 3_600_000,
    outside: new Set(),
    way: { faults: proxy, toxicPort },
    granted: ["writes contents", act("PUT", "/repos/shop-org/shop/contents/x")],
    neighbours: [
      ["writes another repository's", act("PUT", "/repos/shop-org/shop-docs/contents/x")],
      ["reads the payroll", act("GET", "/repos/shop-org/payroll")],
      ["opens an issue", act("POST", "/repos/shop-org/shop/issues")],
      ["reads pull requests", act("GET", "/repos/shop-org/shop/pulls")],
    ],
    living: (leases) => {
      const named = leases.flatMap((lease) => hub.alive(lease).map(() => lease));
      const strange = hub.alive().length - named.length;
      const nobodys = Array.from({ length: strange }, () => ({ what: "a token", lease: "nobody's" }));
      return Promise.resolve([...named.map((lease) => ({ what: "a token", lease })), ...nobodys]);
    },
    refusals: [
      {
        what: "unknown repository",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { ...options, repository_ids: ["1"] } }),
      },
      {
        what: "a permission that the App has not",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { ...options, permissions: { administration: "write" } } }),
      },
      { what: "throttled", code: "provider-unavailable", arrange: answering(proxy, [429, '{"message":"rate limit"}']) },
      { what: "clock skew", code: "provider-refused", arrange: late, tidy: inTime },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
};

export const kubernetes: OpenStand = async (opening) => {
  const bench = await kubernetesBench.openKubernetesBench();
  const { cluster, proxy } = bench;
  const toxicPort = await opening.before(proxy.port);
  const server = `http://127.0.0.1:${toxicPort}`;
  const { options } = kubernetesBench;
  const act =
    (method: string, path: string, body?: unknown) =>
    async (material: Material): Promise<boolean> =>
      (await cluster.ask(kubernetesBench.textOf(material), method, path, body)).status < 300;
  const listed = async (): Promise<readonly string[]> => {
    const { body } = await cluster.ask(cluster.admin, "GET", "/api/v1/namespaces/ci-jobs/secrets");
    const { items } = body as { readonly items: readonly { readonly metadata: { readonly name: string } }[] };
    return items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith("lse-"));
  };
  return {
    name: "kubernetes",
    provider: opening.spoil(await bench.again({ server })),
    proofs: bench.authority.proofs,
    options,
    ttl: 600_000,
    remembers: { milliseconds: 11_000, why: "the API server remembers for ten seconds what it accepted" },
    outside: new Set(),
    way: { faults: proxy, toxicPort },
    granted: ["lists its namespace's maps", act("GET", "/api/v1/namespaces/shop/configmaps")],
    neighbours: [
      ["lists another's", act("GET", "/api/v1/namespaces/ci-jobs/configmaps")],
      ["reads secrets", act("GET", "/api/v1/namespaces/shop/secrets")],
      ["lists nodes", act("GET", "/api/v1/nodes")],
      ["makes a token", act("POST", "/api/v1/namespaces/ci-jobs/serviceaccounts/deploy/token", {})],
    ],
    living: async () => (await listed()).map((lease) => ({ what: `the secret ${lease}`, lease })),
    refusals: [
      {
        what: "wrong audience",
        code: "provider-refused",
        arrange: async () => ({ provider: await bench.again({ server, audience: "https://other.example.com" }) }),
      },
      {
        what: "an account of others",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { ...options, service_account: "payroll" } }),
      },
      { what: "throttled", code: "provider-unavailable", arrange: answering(proxy, [429, '{"kind":"Status","code":429}']) },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
};

export const postgres: OpenStand = async (opening) => {
  const bench = await postgresBench.openPostgresBench();
  const toxicPort = await opening.before(bench.proxy.port);
  const provider = opening.spoil(await bench.configure({ port: toxicPort }));
  const act =
    (statement: string) =>
    async (material: Material): Promise<boolean> =>
      (await bench.postgres.sql(statement, postgresBench.loginOf(material))).code === 0;
  const options = (roles: readonly string[]): unknown => fill(provider.options.parse({ roles }), {});
  return {
    name: "postgres",
    provider,
    proofs: bench.authority.proofs,
    options: options(["shop_read"]),
    ttl: postgresBench.ttl,
    outside: new Set(),
    way: { faults: bench.proxy, toxicPort },
    granted: ["reads orders", act("SELECT id FROM orders")],
    neighbours: [
      ["writes orders", act("INSERT INTO orders VALUES (8)")],
      ["reads salaries", act("SELECT * FROM salaries")],
      ["becomes another role", act("SET ROLE shop_migrate")],
      ["makes a role", act("CREATE ROLE another LOGIN")],
    ],
    living: async () =>
      (await postgresBench.alive(bench, "lse-")).map((what) => ({ what, lease: /lse-[0-9a-z]+/.exec(what)?.[0] })),
    refusals: [
      {
        what: "unknown role",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: options(["no_such_role"]) }),
      },
      {
        what: "out of connections",
        code: "provider-unavailable",
        arrange: () => {
          bench.proxy.next({ kind: "answer", status: 503, body: "" });
          return Promise.resolve(undefined);
        },
      },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
};

const binary = resolve("examples/mayfly-provider-sample/mayfly-provider-sample");

export const plugins: Readonly<Record<string, OpenStand>> = {
  "plug-in out of process": sample("plug-in out of process", bind(plugin), (upstream, home) => ({
    command: [home.install(binary)],
    config: upstream,
    timeout: "2s",
  })),
  "plug-in in process": sample("plug-in in process", bind(sampleInProcess), (upstream) => upstream),
};

function sample(name: string, type: BoundType, entry: (upstream: object, home: TestLodging) => unknown): OpenStand {
  return async (opening) => {
    const stack = new AsyncDisposableStack();
    const service = stack.use(await startTokenService());
    const proxy = stack.use(await FaultProxy.start(service.port));
    const toxicPort = await opening.before(proxy.port);
    const home = stack.use(lodge("sample"));
    const authority = stack.use(await openKeys());
    const upstream = { address: `http://127.0.0.1:${toxicPort}`, key_file: service.keyFile };
    const context = { clock: systemClock, authority, as: "host", lodging: home.lodging } as const;
    const act = (method: "GET" | "PUT", project: string, words: string): Act => [
      words,
      async (material) => material.kind === "bearer" && (await service.use(method, project, material.token.use(String))) < 300,
    ];
    return {
      name,
      provider: opening.spoil(type.configure(entry(upstream, home), context)),
      proofs: authority.proofs,
      options: { project: "519283746", access: "read" },
      ttl: 600_000,
      outside: new Set(),
      way: { faults: proxy, toxicPort },
      granted: act("GET", "519283746", "reads its project"),
      neighbours: [
        act("PUT", "519283746", "writes it"),
        act("GET", "shop", "reads another"),
        act("PUT", "shop", "writes another"),
        act("GET", "archive", "reads the archive"),
      ],
      living: async (leases) => {
        const all = await service.alive();
        const named = await Promise.all(leases.map(async (lease) => ({ lease, ids: await service.alive(lease) })));
        const known = new Map(named.flatMap(({ lease, ids }) => ids.map((id) => [id, lease] as const)));
        return listOf(
          all.map((what) => ({ what, lease: known.get(what) ?? "nobody's" })),
          [],
          () => [],
        );
      },
      // The one in process is a sample of the tests, which explains nothing.
      refusals:
        name === "plug-in in process"
          ? []
          : [
              {
                what: "unknown project",
                code: "provider-refused",
                arrange: () => Promise.resolve({ options: { project: "no-such-project", access: "read" } }),
              },
              { what: "throttled", code: "provider-unavailable", arrange: answering(proxy, [429, "{}"]) },
            ],
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  };
}
