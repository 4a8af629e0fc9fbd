import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BrokerAuthority, openAuthority } from "../../src/lease/authority.ts";
import type { ProofKind, Provider } from "../../src/lease/provider.ts";
import { fill } from "../../src/policy/slots.ts";
import { day, systemClock } from "../../src/time.ts";
import { intentOf } from "../conformance/provider.ts";
import { configured } from "./configured.ts";

const good = { server: "https://k8s.example.com:6443", audience: "https://k8s.example.com" };
const hosted = { server: "https://k8s.example.com:6443", token_file: "/nonexistent/token" };

let folder: string;
let authority: BrokerAuthority;
let provider: Provider<unknown>;
const configure = (config: unknown, as: ProofKind = "broker"): Promise<Provider<unknown>> =>
  configured("kubernetes", config, { authority, as });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  provider = await configure(good);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the entry in mayfly.yaml", () => {
  it.each([
    ["as the documentation has it", good, "broker"],
    ["as the host", hosted, "host"],
    ["plain http on loopback, when that is said", { ...good, server: "http://127.0.0.1:1", allow_plaintext: true }, "broker"],
  ] as const)("loads: %s", async (_, config, as) => {
    await expect(configure(config, as)).resolves.toBeDefined();
  });

  it.each([
    ["plain http", { ...good, server: "http://127.0.0.1:1" }, "broker", "the address must be https"],
    [
      "plain http to another host",
      { ...good, server: "http://k8s.example.com", allow_plaintext: true },
      "broker",
      "must be https",
    ],
    ["credentials in the address", { ...good, server: "https://a:b@k8s.example.com" }, "broker", "must be https"],
    ["a broker without an audience", { server: good.server }, "broker", "audience is needed"],
    ["a broker with a token of its own", { ...good, ...hosted }, "broker", "token_file is for as: host"],
    ["a host without a token", { server: good.server }, "host", "token_file is needed"],
    ["a host with an audience", { ...good, ...hosted }, "host", "audience is for as: broker"],
    ["a token in mayfly.yaml", { ...hosted, token_file: "eyJhbGciOi" }, "host", "token_file"],
    ["a key that nobody knows", { ...good, insecure: true }, "broker", "insecure"],
    ["a ca that cannot be read", { ...good, ca: "/nonexistent/ca.pem" }, "broker", "/nonexistent/ca.pem cannot be read"],
  ] as const)("does not load: %s", async (_, config, as, why) => {
    await expect(async () => configure(config, as)).rejects.toThrow(
      expect.objectContaining({ code: "config-invalid", message: expect.stringContaining(why) }),
    );
  });
});

const whole = { namespace: "ci-jobs", service_account: "deploy", audiences: ["https://kubernetes.default.svc"] };

describe("a template's part", () => {
  it.each([
    ["as the documentation has it", whole, {}, { ...whole, verified_by: "api-server" }],
    ["a namespace of a claim", { ...whole, namespace: "ci-{repository_id}" }, { repository_id: "7" }, { namespace: "ci-7" }],
    ["an account with dots", { ...whole, service_account: "team.deploy" }, {}, {}],
    ["several audiences", { ...whole, audiences: ["vault", "sts.example.com"], verified_by: "signature" }, {}, {}],
  ])("takes %s", (_, written, claims, filled) => {
    expect(fill(provider.options.parse(written), claims)).toMatchObject(filled);
  });

  it.each([
    ["no audiences: the API server would give its own", { ...whole, audiences: undefined }],
    ["an empty list of them, for the same reason", { ...whole, audiences: [] }],
    ["an audience that is empty", { ...whole, audiences: [""] }],
    ["nine audiences", { ...whole, audiences: Array.from({ length: 9 }, String) }],
    ["no account", { ...whole, service_account: undefined }],
    ["a namespace that is a path", { ...whole, namespace: "kube-system/secrets" }],
    ["a namespace that leaves its place", { ...whole, namespace: ".." }],
    ["a namespace in capitals", { ...whole, namespace: "CI" }],
    ["an account that is a path", { ...whole, service_account: "deploy/token" }],
    ["an account that ends in a dash", { ...whole, service_account: "deploy-" }],
    ["another way to verify", { ...whole, verified_by: "nobody" }],
    ["a key that nobody knows", { ...whole, expirationSeconds: 600 }],
  ])("refuses %s", (_, written) => {
    expect(provider.options.safeParse(written).success).toBe(false);
  });

  it("says how it ends by who verifies it", () => {
    const ends = (written: object): string => provider.ends(fill(provider.options.parse(written), {}));
    expect(ends(whole)).toBe("revoke");
    expect(ends({ ...whole, verified_by: "signature" })).toBe("expires");
  });
});

describe("before Kubernetes is asked, the provider", () => {
  it.each([
    ["nine minutes", { ...whole }, 599_000, "less than ten minutes"],
    ["a century and more", { ...whole }, 50_000 * day, "2^32 seconds"],
    ["a claim that is no namespace", { ...whole, namespace: "CI_x" }, 600_000, undefined],
  ])("refuses %s", async (_, options, ttl, why) => {
    const intent = intentOf({ ttl });
    const given = provider.mint({ intent, options, proof: authority.proofs.mint(intent), signal: AbortSignal.timeout(2_000) });
    if (why === undefined) return expect(given).rejects.toThrow();
    await expect(given).rejects.toMatchObject({ code: "provider-refused", message: expect.stringContaining(why) });
  });

  it("refuses a token file that is not there", async () => {
    const host = await configure(hosted, "host");
    const intent = intentOf({ ttl: 600_000 });
    const given = host.mint({
      intent,
      options: whole,
      proof: authority.proofs.mint(intent),
      signal: AbortSignal.timeout(2_000),
    });
    await expect(given).rejects.toMatchObject({ code: "provider-refused", hint: expect.stringContaining("token_file") });
  });
});
