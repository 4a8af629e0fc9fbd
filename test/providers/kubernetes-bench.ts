import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments, parseDocument } from "yaml";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import type { Material } from "../../src/material.ts";
import { systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { type Kubernetes, ownAudience, startKubernetes } from "../servers/kubernetes.ts";
import { startPublishedIssuer } from "../servers/published-issuer.ts";
import { configured } from "./configured.ts";

/** A real API server, set up with the manifests of docs/providers/kubernetes.md as they stand there, and a proxy before it that can fail. */
export interface KubernetesBench extends AsyncDisposable {
  readonly cluster: Kubernetes;
  readonly proxy: FaultProxy;
  readonly authority: BrokerAuthority;
  /** As broker. */
  readonly provider: Provider<unknown>;
  /** The token of the service account that the broker is `as: host`. */
  readonly tokenFile: string;
  again(config: Readonly<Record<string, unknown>>, as?: ProofKind): Promise<Provider<unknown>>;
  /** The API server's own list of what lives for a lease. */
  alive(lease: string): Promise<readonly string[]>;
}

export const options = { namespace: "ci-jobs", service_account: "deploy", audiences: [ownAudience] };

const audience = "https://k8s.example.com";
const rbac = "/apis/rbac.authorization.k8s.io/v1";
const admission = "/apis/admissionregistration.k8s.io/v1";
const places: Readonly<Record<string, (namespace: string) => string>> = {
  Namespace: () => "/api/v1/namespaces",
  ServiceAccount: (namespace) => `/api/v1/namespaces/${namespace}/serviceaccounts`,
  Role: (namespace) => `${rbac}/namespaces/${namespace}/roles`,
  RoleBinding: (namespace) => `${rbac}/namespaces/${namespace}/rolebindings`,
  ValidatingAdmissionPolicy: () => `${admission}/validatingadmissionpolicies`,
  ValidatingAdmissionPolicyBinding: () => `${admission}/validatingadmissionpolicybindings`,
};

export async function openKubernetesBench(): Promise<KubernetesBench> {
  const stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mayfly-kubernetes-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const issuer = stack.use(await startPublishedIssuer());
  const authority = await openAuthority({ folder, issuerUrl: issuer.url, clock: systemClock, random: randomBytes });
  issuer.publish(authority.publicKeys().proofs.jwks);
  const [authentication = "", ...manifests] = await documented();
  const cluster = stack.use(await startKubernetes({ authentication: trusting(authentication, issuer) }));
  for (const manifest of manifests) await apply(cluster, manifest);
  for (const manifest of besides) await make(cluster, manifest);
  const proxy = stack.use(await FaultProxy.start(cluster.port));
  const tokenFile = join(folder, "own-token");
  await writeFile(tokenFile, await tokenOf(cluster, "mayfly", "mayfly"), { mode: 0o600 });
  const whole = { server: proxy.address, allow_plaintext: true, timeout: "2s" };
  const again: KubernetesBench["again"] = (config, as = "broker") =>
    configured(
      "kubernetes",
      { ...whole, ...(as === "broker" ? { audience } : { token_file: tokenFile }), ...config },
      { authority, as },
    );
  const alive = async (lease: string): Promise<readonly string[]> => {
    const { status } = await cluster.ask(cluster.admin, "GET", `/api/v1/namespaces/ci-jobs/secrets/${lease}`);
    return status === 404 ? [] : [lease];
  };
  const provider = await again({});
  await known(cluster, authority);
  return { cluster, proxy, authority, provider, tokenFile, again, alive, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** The page's own blocks: first what the API server is started with, then what is made in the cluster. */
async function documented(): Promise<readonly string[]> {
  const page = await readFile("docs/providers/kubernetes.md", "utf8");
  return [...page.matchAll(/^```yaml\n(apiVersion: [^]*?)^```$/gm)].map(([, block = ""]) => block);
}

/** The page's issuer is an example; the test's is on loopback, with an authority of its own. */
function trusting(text: string, { url, ca }: { readonly url: string; readonly ca: string }): string {
  const document = parseDocument(text);
  document.setIn(["jwt", 0, "issuer", "url"], url);
  document.setIn(["jwt", 0, "issuer", "certificateAuthority"], ca);
  return document.toString();
}

async function apply(cluster: Kubernetes, text: string): Promise<void> {
  for (const document of parseAllDocuments(text)) await make(cluster, document.toJS());
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string };
}

async function make(cluster: Kubernetes, manifest: Manifest): Promise<void> {
  const path = places[manifest.kind]?.(manifest.metadata.namespace ?? "") ?? "";
  const { status, body } = await cluster.ask(cluster.admin, "POST", path, manifest);
  if (status !== 201) throw new Error(`${manifest.kind} was not made: ${status}: ${JSON.stringify(body)}`);
}

const named = (kind: string, name: string, namespace: string) =>
  ({
    apiVersion: kind.startsWith("Role") ? "rbac.authorization.k8s.io/v1" : "v1",
    kind,
    metadata: { name, namespace },
  }) as const;
const roleRef = (name: string) => ({ apiGroup: "rbac.authorization.k8s.io", kind: "Role", name });
const account = (name: string, namespace: string) => ({ kind: "ServiceAccount", name, namespace });

/** What the page leaves to the operator: the accounts' own rights, and the broker's own account where it runs in the cluster. */
const besides: readonly Manifest[] = [
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } },
  { apiVersion: "v1", kind: "Namespace", metadata: { name: "mayfly" } },
  named("ServiceAccount", "mayfly", "mayfly"),
  named("ServiceAccount", "payroll", "ci-jobs"),
  { ...named("Role", "deploy", "shop"), rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list", "create"] }] },
  { ...named("RoleBinding", "deploy", "shop"), roleRef: roleRef("deploy"), subjects: [account("deploy", "ci-jobs")] },
  { ...named("RoleBinding", "host-mint", "ci-jobs"), roleRef: roleRef("mayfly-mint"), subjects: [account("mayfly", "mayfly")] },
  { ...named("RoleBinding", "host-end", "ci-jobs"), roleRef: roleRef("mayfly-end"), subjects: [account("mayfly", "mayfly")] },
] as readonly Manifest[];

async function tokenOf(cluster: Kubernetes, namespace: string, name: string): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const spec = { audiences: [ownAudience], expirationSeconds: 3_600 };
  const { body } = await cluster.ask(cluster.admin, "POST", path, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec,
  });
  return (body as { readonly status: { readonly token: string } }).status.token;
}

/** The API server reads an issuer's keys in the background, and a policy takes a moment until it is asked: until both refuse as they should. */
async function known(cluster: Kubernetes, authority: BrokerAuthority): Promise<void> {
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "not-a-lease" } };
  for (const until = Date.now() + 30_000; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const proof = await authority.proofs.mint(intentOf({ ttl: 600_000 })).token(audience);
    const token = proof.use((bytes) => bytes.toString("utf8"));
    const denied = await cluster.ask(token, "POST", "/api/v1/namespaces/ci-jobs/secrets?dryRun=All", secret);
    if (denied.status === 422) return;
    if (Date.now() > until) throw new Error(`the API server does not know the broker: ${JSON.stringify(denied)}`);
  }
}

export function textOf(material: Material): string {
  if (material.kind !== "bearer") throw new Error(`this is a ${material.kind}`);
  return material.token.use((bytes) => bytes.toString("utf8"));
}
