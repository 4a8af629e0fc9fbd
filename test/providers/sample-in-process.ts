import { readFileSync } from "node:fs";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { ask, type JsonAnswer, type Upstream } from "../../src/lease/http.ts";
import { type ProviderType, slot } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";

const config = z.strictObject({ address: z.url(), key_file: z.string() });
const options = z.strictObject({ project: slot("path-segment"), access: z.enum(["read", "write"]) });
const token = z.object({ id: z.string(), token: z.string().optional(), expires: z.iso.datetime() });

/** examples/mayfly-provider-sample once more, inside the broker: what the joint is without a process between. */
export const sampleInProcess: ProviderType<z.output<typeof config>, z.output<typeof options>> = {
  type: "sample",
  proves: ["host"],
  config,
  create({ address, key_file: keyFile }, { clock }) {
    const upstream: Upstream = { name: "the token service", clock, timeout: 2_000 };
    const call = (method: string, path: string, signal: AbortSignal, body?: unknown): Promise<JsonAnswer> => {
      const headers = { authorization: `Bearer ${readFileSync(keyFile, "utf8").trim()}`, "content-type": "application/json" };
      const url = new URL(path, address);
      return ask(
        upstream,
        { method, url, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) },
        [404],
      );
    };
    const ending = ({ id, expires }: z.output<typeof token>) =>
      ({ kind: "revoke", handle: { id }, expiresAt: Date.parse(expires) }) as const;
    return {
      options,
      gives: () => "bearer",
      ends: () => "revoke",
      async mint({ intent, options: asked, signal }) {
        const seconds = intent.ttl / 1_000;
        const { body } = await call("POST", "/tokens", signal, { lease: intent.lease, ...asked, seconds });
        const made = token.safeParse(body);
        if (!made.success || made.data.token === undefined) throw new Error("the answer holds no token");
        if (Date.parse(made.data.expires) > clock.now() + intent.ttl) throw new BrokerError("provider-broken-promise");
        return { material: { kind: "bearer", token: Secret.of(made.data.token) }, ending: ending(made.data) };
      },
      revocation: {
        revoke: async ({ id = "" }, { signal }) => void (await call("DELETE", `/tokens/${encodeURIComponent(id)}`, signal)),
        async recover({ lease }, _, { signal }) {
          const { body } = await call("GET", `/tokens?lease=${lease}`, signal);
          const [found] = z.array(token).parse(body);
          return found === undefined ? { kind: "never-happened" } : { kind: "found", ending: ending(found) };
        },
      },
    };
  },
};
