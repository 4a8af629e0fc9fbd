import { type Bench, provesProvider } from "../conformance/provider.ts";
import { kubernetesMissing } from "../servers/kubernetes-binary.ts";
import { type KubernetesBench, openKubernetesBench, options, textOf } from "./kubernetes-bench.ts";

provesProvider("kubernetes, as the broker", async () => benchOf(await openKubernetesBench()), kubernetesMissing());
provesProvider("kubernetes, as the host", asHost, kubernetesMissing());

const [secrets, tokens] = ["/namespaces/ci-jobs/secrets", "/serviceaccounts/deploy/token"];

function benchOf({ cluster, provider, authority, proxy, alive, ...opened }: KubernetesBench): Bench {
  return {
    provider,
    proofs: authority.proofs,
    options,
    ttl: 600_000,
    works: async (material) => {
      const { status } = await cluster.ask(textOf(material), "GET", "/api/v1/namespaces/shop/configmaps");
      return status === 200;
    },
    alive,
    upstream: {
      proxy,
      effects: [
        { method: "POST", path: secrets },
        { method: "POST", path: tokens },
      ],
      refused: { ...options, service_account: "payroll" },
      never: { namespace: "ci-jobs", secret: "lse-nonesuch" },
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function asHost(): Promise<Bench> {
  const opened = await openKubernetesBench();
  return benchOf({ ...opened, provider: await opened.again({}, "host") });
}
