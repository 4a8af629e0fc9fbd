import type { Provider } from "../../../../src/lease/provider.ts";
import type { Material } from "../../../../src/material.ts";
import * as awsBench from "../../../providers/aws-bench.ts";
import * as azureBench from "../../../providers/azure-bench.ts";
import * as gcpBench from "../../../providers/gcp-bench.ts";
import { errorXml } from "../../../servers/aws.ts";
import { apps, tenant } from "../../../servers/entra.ts";
import type { FaultProxy } from "../../../servers/fault-proxy.ts";
import { address as accountOf } from "../../../servers/google-apis.ts";
import type { Act, Living, OpenStand, Refused } from "../part.ts";

/** An answer of the upstream's kind to the next request. */
export function answering(
  proxy: Pick<FaultProxy, "next">,
  [status, body, headers = {}]: readonly [number, string, Readonly<Record<string, string>>?],
): Refused["arrange"] {
  return () => {
    proxy.next({ kind: "answer", status, body, headers });
    return Promise.resolve(undefined);
  };
}

/** With each known lease asked for by its name, and what belongs to none of them. */
export function listOf(
  all: readonly { readonly lease: string | undefined; readonly what: string }[],
  leases: readonly string[],
  alive: (lease: string) => readonly string[],
): readonly Living[] {
  const known = new Set(leases);
  const strange = all.filter(({ lease }) => lease === undefined || !known.has(lease));
  return [...leases.flatMap((lease) => alive(lease).map((what) => ({ what, lease }))), ...strange];
}

export const aws: Readonly<Record<string, OpenStand>> = {
  "aws with denial": (opening) => openAws("aws with denial", { sweeper: { role: "mayfly-sweeper" } }, opening),
  "aws expiring": (opening) => openAws("aws expiring", {}, opening),
};

async function openAws(name: string, config: object, opening: Parameters<OpenStand>[0]): ReturnType<OpenStand> {
  const bench = await awsBench.openAwsBench();
  const { aws: upstream, proxy } = bench;
  const toxicPort = await opening.before(proxy.port);
  const url = `http://127.0.0.1:${toxicPort}`;
  const again = (more: object): Promise<Provider<unknown>> =>
    bench.again({ endpoints: { sts: url, iam: url, secretsmanager: url, ssm: url }, ...config, ...more });
  const s3 =
    (method: string, path: string, body?: string) =>
    async (material: Material): Promise<boolean> =>
      (await upstream.seaweed.s3(awsBench.keysOf(material), method, path, body)) < 300;
  const { mine, options, role } = awsBench;
  const said = (status: number, code: string) =>
    answering(proxy, [status, errorXml(code, "no"), { "content-type": "text/xml" }]);
  const large = {
    Statement: [{ Effect: "Allow", Action: ["s3:GetObject"], Resource: [`arn:aws:s3:::${"x".repeat(2_048)}`] }],
  };
  return {
    name,
    provider: opening.spoil(await again({})),
    proofs: bench.authority.proofs,
    options,
    ttl: 900_000,
    // A role's inline policies hold sixty denials.
    ...("sweeper" in config ? { most: 40 } : {}),
    outside: new Set(),
    way: { faults: proxy, toxicPort },
    granted: ["writes its object", s3("PUT", `${mine}/build.tar`, "hello")],
    neighbours: [
      ["writes beside it", s3("PUT", "/shop/519283747/build.tar", "hello")],
      ["reads beside it", s3("GET", "/shop/519283747/build.tar")],
      ["deletes what it wrote", s3("DELETE", `${mine}/build.tar`)],
      ["lists the bucket", s3("GET", "/shop?list-type=2")],
    ],
    living: async () => {
      const names = [...new Set(upstream.given.filter((one) => one.role === role).map((one) => one.name))];
      return (await Promise.all(names.map(async (lease) => ((await upstream.alive(lease)).length > 0 ? [lease] : []))))
        .flat()
        .map((lease) => ({ what: `the session ${lease}`, lease }));
    },
    refusals: [
      {
        what: "policy too large",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { role, policy: large } }),
      },
      { what: "policy too large when packed", code: "provider-refused", arrange: said(400, "PackedPolicyTooLarge") },
      { what: "throttled", code: "provider-unavailable", arrange: said(400, "Throttling") },
      { what: "clock skew", code: "provider-refused", arrange: said(400, "ExpiredTokenException") },
      {
        what: "wrong audience",
        code: "provider-refused",
        // SeaweedFS refuses it in other words than AWS's.
        arrange: said(400, "InvalidIdentityToken"),
      },
      {
        what: "unknown role",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { ...options, role: role.replace("ci-deploy", "no-such-role") } }),
      },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
}

export const gcp: OpenStand = async (opening) => {
  const bench = await gcpBench.openGcpBench();
  const toxicPort = await opening.before(bench.proxy.port);
  const url = `http://127.0.0.1:${toxicPort}`;
  const endpoints = { sts: url, iamcredentials: url, secretmanager: url };
  const account = accountOf("ci-deploy");
  const mine = "519283746/app.tgz";
  const storage = [
    {
      bucket: "shop-artifacts",
      roles: ["roles/storage.objectViewer"],
      condition: `resource.name.startsWith('${gcpBench.objects}/519283746/')`,
    },
  ];
  const act =
    (call: readonly string[]) =>
    async (material: Material): Promise<boolean> =>
      (await gcpBench.asJob(bench, gcpBench.bearerOf(material), call)) < 300;
  const quota = JSON.stringify({ error: { code: 429, status: "RESOURCE_EXHAUSTED", message: "Quota exceeded" } });
  const { google } = bench;
  return {
    name: "gcp",
    provider: opening.spoil(await bench.again({ endpoints })),
    proofs: bench.authority.proofs,
    options: { service_account: account, storage },
    ttl: 600_000,
    outside: new Set(),
    way: { faults: bench.proxy, toxicPort },
    granted: ["reads its object", act(gcpBench.read("shop-artifacts", mine))],
    neighbours: [
      ["reads beside it", act(gcpBench.read("shop-artifacts", "519283747/app.tgz"))],
      ["writes it", act(gcpBench.write("shop-artifacts", mine))],
      ["reads another bucket's", act(gcpBench.read("shop-other", mine))],
      ["reads a secret", act(["GET", "/v1/projects/shop-prod/secrets/npm-519283746/versions/latest:access"])],
    ],
    living: (leases) =>
      Promise.resolve(
        listOf(
          google.issued.map(({ lease, kind }) => ({ lease, what: kind })).filter(({ what }) => what === "downscoped"),
          leases,
          (lease) => google.alive(lease),
        ),
      ),
    refusals: [
      {
        what: "wrong audience",
        code: "provider-refused",
        arrange: async () => ({ provider: await bench.again({ endpoints, audience: "https://other.example.com" }) }),
      },
      { what: "throttled", code: "provider-unavailable", arrange: answering(bench.proxy, [429, quota]) },
      {
        what: "unknown account",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { service_account: accountOf("ci-nobody"), storage } }),
      },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
};

export const azure: OpenStand = async (opening) => {
  const bench = await azureBench.openAzureBench();
  const toxicPort = await opening.before(bench.proxy.port);
  const url = `http://127.0.0.1:${toxicPort}`;
  const endpoints = { login: url, vaults: { "shop-ci": url } };
  const act =
    (...call: readonly string[]) =>
    async (material: Material): Promise<boolean> =>
      material.kind === "bearer" && (await azureBench.asJob(bench, material.token.use(String), call)) < 300;
  const { entra } = bench;
  const options = { client_id: apps.deploy, scope: azureBench.scope };
  const busy = '{"error":"temporarily_unavailable","error_description":"AADSTS90055: throttled","error_codes":[90055]}';
  const neighbours: readonly Act[] = [
    ["reads another's group", act("GET", "/resourceGroups/payroll")],
    ["changes its own", act("PUT", "/resourceGroups/shop")],
    ["reads a secret", act("GET", "/secrets/npm-519283746/?api-version=2025-07-01")],
    ["asks for a token", act("POST", `/${tenant}/oauth2/v2.0/token`)],
  ];
  return {
    name: "azure",
    provider: opening.spoil(await bench.again({ endpoints })),
    proofs: bench.authority.proofs,
    options,
    ttl: azureBench.life,
    outside: new Set(),
    way: { faults: bench.proxy, toxicPort },
    granted: ["reads its group", act("GET", "/resourceGroups/shop")],
    neighbours,
    living: (leases) =>
      Promise.resolve(
        listOf(
          entra.issued.map(({ lease, audience }) => ({ lease, what: audience })),
          leases,
          (lease) => entra.alive(lease),
        ),
      ),
    refusals: [
      {
        what: "wrong audience",
        code: "provider-refused",
        arrange: async () => ({ provider: await bench.again({ endpoints, audience: "api://other" }) }),
      },
      {
        what: "unknown app",
        code: "provider-refused",
        arrange: () => Promise.resolve({ options: { ...options, client_id: "aaaaaaaa-0000-4000-8000-0000000000ff" } }),
      },
      { what: "throttled", code: "provider-unavailable", arrange: answering(bench.proxy, [429, busy]) },
    ],
    [Symbol.asyncDispose]: () => bench[Symbol.asyncDispose](),
  };
};
