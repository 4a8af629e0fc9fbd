import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Broker, BrokerStatus } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import type { ControlService, RotationSchema } from "./gen/mayfly/v1/control_pb.ts";
import { leaseMessage } from "./ledger-messages.ts";
import { limits } from "./limits.ts";
import type { DoorParts, Reason } from "./server.ts";

export function controlService({ broker, reload, drain }: DoorParts): ServiceImpl<typeof ControlService> {
  return {
    async contain({ scope, closed, ...asked }) {
      if (scope === "") throw new BrokerError("usage", "name the scope to contain");
      const { fence, runsEnded, leasesRevoked } = await broker.contain({ scope, closed, ...reason(asked) });
      return { fence: BigInt(fence), runsEnded, leasesRevoked };
    },

    async revokeLease({ lease, ...asked }) {
      if (lease === "") throw new BrokerError("lease-unknown");
      return { lease: leaseMessage(await broker.revokeLease({ lease, ...reason(asked) })) };
    },

    ...replacing(broker),

    async reload(asked) {
      const { digest, templates } = await reload(reason(asked));
      return { policy: { digest, templates: [...templates] } };
    },

    async drain(asked) {
      await drain(reason(asked));
      return {};
    },

    async getStatus() {
      const { startedAt, policy, issuers, providers, ledger, trouble, rotations, ...rest } = await broker.status();
      return {
        ...rest,
        startedAt: timestampFromMs(startedAt),
        policy: { digest: policy.digest, templates: [...policy.templates] },
        issuers: [...issuers],
        providers: [...providers],
        ledger: { ...ledger, size: BigInt(ledger.size) },
        trouble: [...trouble],
        rotations: rotations.map(rotationMessage),
      };
    },
  };
}

type Replacing = Pick<ServiceImpl<typeof ControlService>, "refreshKeys" | "acceptKey" | "rotateKey" | "rotate">;

/** What is about keys and stored secrets: the issuers', the broker's own, and the upstreams'. */
function replacing(broker: Broker): Replacing {
  return {
    async refreshKeys({ issuer, ...asked }) {
      const issuers = await broker.refreshKeys({ issuer: issuer === "" ? undefined : issuer, ...reason(asked) });
      return {
        issuers: issuers.map(({ kids, held, trouble = "", ...one }) => ({ ...one, kids: [...kids], held: [...held], trouble })),
      };
    },

    async acceptKey({ issuer, kid, ...asked }) {
      if (issuer === "" || kid === "") throw new BrokerError("usage", "name the issuer and the id of its key");
      await broker.acceptKey({ issuer, kid, ...reason(asked) });
      return {};
    },

    async rotateKey({ name, sign, leaked, ...asked }) {
      if (name !== "proofs" && name !== "jobs") throw new BrokerError("usage", "name the key: proofs or jobs");
      const { signing, published } = await broker.rotateKey({ name, sign, leaked, ...reason(asked) });
      return { signing, published: [...published] };
    },

    async rotate({ provider, name, ...asked }) {
      if (provider === "") throw new BrokerError("usage", "name the provider");
      const rotations = await broker.rotate({ provider, name: name === "" ? undefined : name, ...reason(asked) });
      return { rotations: rotations.map(rotationMessage) };
    },
  };
}

function rotationMessage({
  provider,
  name,
  rotatedAt,
  next,
  trouble = "",
}: BrokerStatus["rotations"][number]): MessageInitShape<typeof RotationSchema> {
  return {
    provider,
    name,
    trouble,
    ...(rotatedAt === undefined ? {} : { rotatedAt: timestampFromMs(rotatedAt) }),
    ...(next === undefined ? {} : { next: timestampFromMs(next) }),
  };
}

/** Both are recorded and read by people later: one line each, said by the one who asks. */
function reason({ who, why }: Reason): Reason {
  for (const [name, text] of [
    ["who", who],
    ["why", why],
  ] as const) {
    if (text.trim() === "")
      throw new BrokerError("usage", `a change names ${name === "who" ? "who asks for it" : "why"}`, {
        hint: `say it with --${name}`,
      });
    if (text.length > limits.words || /\p{Cc}/u.test(text))
      throw new BrokerError("usage", `\`${name}\` is one line of at most ${limits.words} characters`);
  }
  return { who, why };
}
