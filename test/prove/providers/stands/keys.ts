import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet, jwtVerify } from "jose";
import { type BrokerAuthority, openAuthority } from "../../../../src/lease/authority.ts";
import type { Provider } from "../../../../src/lease/provider.ts";
import type { Material } from "../../../../src/material.ts";
import { fill } from "../../../../src/policy/slots.ts";
import { systemClock } from "../../../../src/time.ts";
import { configured } from "../../../providers/configured.ts";
import { type Sshd, startSshd } from "../../../servers/sshd.ts";
import { startTlsServer, visit } from "../../../servers/tls.ts";
import type { Act, OpenStand, Stand } from "../part.ts";

/** Those whose upstream is the broker's own key: nothing lies between, so nothing can fail, and nothing but time ends them. */
const common = { ttl: 60_000, neighbours: [], living: () => Promise.resolve([]), refusals: [] } as const;

export async function openKeys(): Promise<BrokerAuthority & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-authority-"));
  const authority = await openAuthority({ folder, issuerUrl: "https://mayfly.test", clock: systemClock, random: randomBytes });
  return Object.assign(Object.create(authority) as BrokerAuthority, {
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  });
}

interface Own {
  readonly authority: BrokerAuthority;
  readonly provider: Provider<unknown>;
  readonly stack: AsyncDisposableStack;
}

async function own(type: string, opening: Parameters<OpenStand>[0]): Promise<Own> {
  const stack = new AsyncDisposableStack();
  const authority = stack.use(await openKeys());
  return { authority, stack, provider: opening.spoil(await configured(type, {}, { authority })) };
}

function stand(
  { authority, provider, stack }: Own,
  parts: Pick<Stand, "name" | "options" | "granted"> & Partial<Stand>,
): Stand {
  return {
    ...common,
    outside: new Set(),
    provider,
    proofs: authority.proofs,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
    ...parts,
  };
}

export const keys: Readonly<Record<string, OpenStand>> = {
  "local certificate": async (opening) => {
    const made = await own("local", opening);
    const [server, strange] = [
      made.stack.use(await startTlsServer({ authority: made.authority.publicKeys().authority })),
      made.stack.use(await startTlsServer({ authority: made.stack.use(await openKeys()).publicKeys().authority })),
    ];
    const enters = (at: typeof server) => (material: Material) =>
      material.kind === "x509"
        ? visit(at, {
            certificate: material.certificate,
            privateKey: material.privateKey.use((bytes) => Buffer.from(bytes)),
          }).then(
            () => true,
            () => false,
          )
        : Promise.resolve(false);
    return stand(made, {
      name: "local certificate",
      options: { kind: "x509" },
      granted: ["is let in", enters(server)],
      neighbours: [["is let in elsewhere", enters(strange)]],
    });
  },
  "local JWT": async (opening) => {
    const made = await own("local", opening);
    const { issuer, jwks } = made.authority.publicKeys().jobs;
    const set = createLocalJWKSet({ keys: [...jwks.keys] });
    const proofs = createLocalJWKSet({ keys: [...made.authority.publicKeys().proofs.jwks.keys] });
    const taken =
      (expected: object, by = set) =>
      (material: Material): Promise<boolean> =>
        material.kind === "bearer"
          ? jwtVerify(material.token.use(String), by, expected).then(
              () => true,
              () => false,
            )
          : Promise.resolve(false);
    const audience = "https://shop.example.com";
    const neighbours: readonly Act[] = [
      ["is taken by another audience", taken({ issuer, audience: "https://other.example.com" })],
      ["is taken for another issuer's", taken({ issuer: "https://other.example.com", audience })],
      ["is taken for another workload's", taken({ issuer, audience, subject: "github:1" })],
      ["is taken for the broker's own proof", taken({ issuer, audience }, proofs)],
    ];
    return stand(made, {
      name: "local JWT",
      options: { kind: "jwt", audience },
      granted: ["is taken", taken({ issuer, audience })],
      neighbours,
    });
  },
  ssh: async (opening) => {
    const made = await own("ssh", opening);
    const authority = made.authority.publicKeys().ssh;
    const sshd = made.stack.use(await startSshd({ authority, principals: ["ci-519283746"] }));
    const others = made.stack.use(await startSshd({ authority, principals: ["ci-519283747"] }));
    const says =
      (at: Sshd, command: string, sign: RegExp, ...flags: readonly string[]) =>
      async (material: Material): Promise<boolean> => {
        if (material.kind !== "ssh-certificate") return false;
        const { certificate, privateKey } = material;
        const client = { certificate, privateKey: privateKey.use((bytes) => Buffer.from(bytes)), flags };
        return sign.test((await at.login(client, command)).stdout);
      };
    const options = fill(made.provider.options.parse({ principals: ["ci-519283746"], command: "tty; echo deployed" }), {});
    return stand(made, {
      name: "ssh",
      options,
      granted: ["runs its command", says(sshd, "true", /deployed/)],
      neighbours: [
        ["enters as another principal", says(others, "true", /deployed/)],
        ["runs another command", says(sshd, "id -u", /^0$/m)],
        ["opens a terminal", says(sshd, "true", /^\/dev\/pts/m, "-tt")],
        ["forwards a port", says(sshd, "true", /deployed/, "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")],
      ],
    });
  },
};
