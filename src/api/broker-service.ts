import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { BrokerError } from "../errors.ts";
import { Secret } from "../secret.ts";
import { peerIn } from "./caller.ts";
import type { BrokerService } from "./gen/mayfly/v1/broker_pb.ts";
import { limits } from "./limits.ts";
import type { RequestParts } from "./requests.ts";
import { serveRun } from "./run.ts";
import { observationFrom, observedMessage } from "./run-messages.ts";

export function brokerService(parts: RequestParts): ServiceImpl<typeof BrokerService> {
  const { broker, calls, tarpit } = parts;
  return {
    run: (requests, context) => serveRun(parts, requests, { peer: peerIn(context), signal: context.signal }),

    async startSession({ token }, context) {
      calls.admit();
      if (token === "") throw new BrokerError("token-missing");
      const { session, handle, until, workload, trust } = await broker.startSession({
        peer: peerIn(context),
        token: Secret.of(token),
      });
      return { session, handle: handle.use(String), until: timestampFromMs(until), workload, trust };
    },

    async observe(request, context) {
      calls.admit();
      const peer = peerIn(context);
      if (!tarpit.observes(peer)) throw tooOften();
      return observedMessage(await broker.observe({ ...observationFrom(request), peer, signal: context.signal }));
    },

    async endSession({ handle }, context) {
      if (handle === "") throw new BrokerError("session-unknown");
      await broker.endSession({ peer: peerIn(context), handle: Secret.of(handle) });
      return {};
    },

    async getStatus() {
      const { version, draining, sandboxes } = await broker.status();
      return {
        version,
        draining,
        running: sandboxes.running,
        capacity: sandboxes.capacity,
        audiences: [...broker.audiences()],
      };
    },
  };
}

function tooOften(): BrokerError {
  return new BrokerError("busy", `a user observes at most ${limits.observations} times within a minute`, {
    hint: "each is an entry of the ledger; try again in a minute",
  });
}
