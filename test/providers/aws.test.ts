import { afterAll, vi } from "vitest";
import { type Bench, provesProvider } from "../conformance/provider.ts";
import { motoMissing, startMoto } from "../servers/moto.ts";
import { account, region } from "../servers/seaweedfs.ts";
import { seaweedMissing } from "../servers/seaweedfs-binary.ts";
import { sendSigned } from "../servers/sigv4.ts";
import { type AwsBench, keysOf, mine, openAwsBench, options, role } from "./aws-bench.ts";

const sweeper = { sweeper: { role: "mayfly-sweeper" } };

afterAll(() => vi.unstubAllEnvs());

provesProvider("aws, with sessions that can be denied", async () => sessions(await openAwsBench(sweeper)), seaweedMissing());
provesProvider("aws, with sessions that only expire", async () => sessions(await openAwsBench()), seaweedMissing());
provesProvider("aws, as the host", asHost, seaweedMissing());
provesProvider("aws, with a stored secret", storedBench, seaweedMissing() ?? motoMissing());

function sessions({ aws, provider, authority, proxy, ...opened }: AwsBench): Bench {
  return {
    provider,
    proofs: authority.proofs,
    options,
    ttl: 900_000,
    works: async (material) => (await aws.seaweed.s3(keysOf(material), "PUT", `${mine}/works`, "hello")) === 200,
    alive: (lease) => aws.alive(lease),
    upstream: {
      proxy,
      effects: [{ method: "POST", path: "/" }],
      refused: { ...options, role: role.replace("ci-deploy", "no-such-role") },
      never: { role, session: "lse-nonesuch", until: String(Math.ceil(Date.now() / 1_000) + 900) },
      blind: true,
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** It shows no proof, so the canaries are its sessions' alone. */
async function asHost(): Promise<Bench> {
  const opened = await openAwsBench();
  const { accessKeyId, secretAccessKey } = opened.aws.seaweed.host;
  vi.stubEnv("AWS_ACCESS_KEY_ID", accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", secretAccessKey);
  return sessions({ ...opened, provider: await opened.again(sweeper, "host") });
}

async function storedBench(): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const moto = stack.use(await startMoto());
  const anyone = { accessKeyId: "testing", secretAccessKey: "testing" };
  const body = JSON.stringify({
    Name: "ci/npm",
    SecretString: JSON.stringify({ token: "npm-token-of-the-shop", user: "shop" }),
  });
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.CreateSecret" };
  const url = new URL(`http://127.0.0.1:${moto.port}/`);
  await sendSigned(anyone, { method: "POST", url, service: "secretsmanager", region, body, headers });
  const opened = stack.use(await openAwsBench(sweeper, moto.port));
  const bench = sessions(opened);
  const reader = `arn:aws:iam::${account}:role/ci-read`;
  return {
    ...bench,
    options: { role: reader, secret: "ci/npm" },
    works: (material) =>
      Promise.resolve(
        material.kind === "fields" && material.fields["token"]?.use((bytes) => bytes.toString()) === "npm-token-of-the-shop",
      ),
    // A session that read for the broker and was never handed out is nobody's.
    alive: () => Promise.resolve([]),
    ...(bench.upstream === undefined ? {} : { upstream: { ...bench.upstream, refused: { role: reader, secret: "ci/none" } } }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
