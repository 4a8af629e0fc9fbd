import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { plugin } from "../../providers/plugin.ts";
import { openAuthority } from "../../src/lease/authority.ts";
import { type BoundType, bind } from "../../src/lease/bind.ts";
import type { Material } from "../../src/material.ts";
import { systemClock } from "../../src/time.ts";
import { type Bench, intentOf, provesProvider } from "../conformance/provider.ts";
import { FaultProxy } from "../servers/fault-proxy.ts";
import { must } from "../servers/process.ts";
import { startTokenService, type TokenService } from "../servers/token-service.ts";
import { lodge, type TestLodging } from "./lodging.ts";
import { sampleInProcess } from "./sample-in-process.ts";

const binary = resolve("examples/mayfly-provider-sample/mayfly-provider-sample");

interface SampleBench extends Bench {
  readonly service: TokenService;
  readonly home: TestLodging;
}

async function open(type: BoundType, entry: (upstream: object, home: TestLodging) => unknown): Promise<SampleBench> {
  const stack = new AsyncDisposableStack();
  const service = stack.use(await startTokenService());
  const proxy = stack.use(await FaultProxy.start(service.port));
  const home = stack.use(lodge("sample"));
  const authority = await openAuthority({
    folder: home.folder,
    issuerUrl: "https://mayfly.test",
    clock: systemClock,
    random: randomBytes,
  });
  const provider = type.configure(entry({ address: proxy.address, key_file: service.keyFile }, home), {
    clock: systemClock,
    authority,
    as: "host",
    lodging: home.lodging,
  });
  return {
    service,
    home,
    provider,
    proofs: authority.proofs,
    options: { project: "519283746", access: "read" },
    ttl: 600_000,
    works: async (material) => (await service.use("GET", "519283746", tokenOf(material))) === 200,
    alive: (lease) => service.alive(lease),
    upstream: {
      proxy,
      effects: [{ method: "POST", path: "/tokens" }],
      refused: { project: "no-such-project", access: "read" },
      tooLong: { project: "archive", access: "read" },
      never: { id: "nonesuch" },
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const outOfProcess = (): Promise<SampleBench> =>
  open(bind(plugin), (upstream, home) => ({ command: [home.install(binary)], config: upstream, timeout: "2s" }));

function tokenOf(material: Material): string {
  if (material.kind !== "bearer") throw new Error("it is no bearer token");
  return material.token.use((bytes) => bytes.toString("utf8"));
}

provesProvider("sample, out of process", outOfProcess);
provesProvider("sample, in process", () => open(bind(sampleInProcess), (upstream) => upstream));

describe("a token of the sample provider", () => {
  it("is good for exactly what was granted", async () => {
    await using bench = await outOfProcess();
    const { provider, proofs, service } = bench;
    const intent = intentOf(bench);
    const signal = new AbortController().signal;
    const options = { project: "shop", access: "write" };
    const { material, ending } = await provider.mint({ intent, options, proof: proofs.mint(intent), signal });
    const token = tokenOf(material);
    const reading = intentOf(bench);
    const reader = await provider.mint({
      intent: reading,
      options: { ...options, access: "read" },
      proof: proofs.mint(reading),
      signal,
    });
    const table: readonly (readonly ["GET" | "PUT", string, string, number])[] = [
      ["PUT", "shop", token, 200],
      ["GET", "shop", token, 200],
      ["GET", "519283746", token, 403],
      ["PUT", "519283746", token, 403],
      ["GET", "shop", tokenOf(reader.material), 200],
      ["PUT", "shop", tokenOf(reader.material), 403],
      ["GET", "archive", tokenOf(reader.material), 403],
    ];
    for (const [method, project, with_, status] of table) expect(await service.use(method, project, with_)).toBe(status);
    if (ending.kind !== "revoke" || provider.revocation === "none") throw new Error("it cannot be revoked");
    await provider.revocation.revoke(ending.handle, { proof: proofs.end(intent.lease), signal });
    expect(await service.use("GET", "shop", token)).toBe(403);
    expect(await service.use("GET", "shop", tokenOf(reader.material))).toBe(200);
  });

  it("is made fifty at once, each its own, and every one is ended", async () => {
    await using bench = await outOfProcess();
    const { provider, proofs, service, options } = bench;
    const signal = new AbortController().signal;
    const minted = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const intent = intentOf(bench);
        return { intent, ...(await provider.mint({ intent, options, proof: proofs.mint(intent), signal })) };
      }),
    );
    expect(new Set(minted.map(({ material }) => tokenOf(material))).size).toBe(50);
    expect(await service.alive()).toHaveLength(50);
    await Promise.all(
      minted.map(({ intent, ending }) => {
        if (ending.kind !== "revoke" || provider.revocation === "none") throw new Error("it cannot be revoked");
        return provider.revocation.revoke(ending.handle, { proof: proofs.end(intent.lease), signal });
      }),
    );
    expect(await service.alive()).toEqual([]);
    expect(bench.home.said()).toEqual([]);
  });
});

describe("docs/providers/plugin.md", () => {
  it("shows the sample's manifest as it is, and an entry of mayfly.yaml that loads", async () => {
    const page = await readFile("docs/providers/plugin.md", "utf8");
    const [shown = ""] = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
    expect(JSON.parse(shown)).toEqual(JSON.parse(await must(binary, ["describe"])));
    const [entry = ""] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = ""]) => text);
    await using home = lodge("tokens");
    const { type, ...rest } = (parse(entry) as { providers: { tokens: Record<string, unknown> } }).providers.tokens;
    expect(type).toBe("plugin");
    const installed = { ...rest, command: [home.install(binary)] };
    const context = { clock: systemClock, authority: {} as never, as: "host", lodging: home.lodging } as const;
    const provider = bind(plugin).configure(installed, context);
    expect(provider.options.safeParse({ project: "{repository_id}", access: "read" }).success).toBe(true);
  });
});
