import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { type SandboxRequest, type SandboxResponse, SandboxService } from "../api/gen/sandbox/v1/sandbox_pb.ts";
import { Channel } from "./channel.ts";
import { Conversation } from "./conversation.ts";
import type { Host } from "./host.ts";
import { stateOf } from "./messages.ts";
import type { Finding } from "./sandbox.ts";

/** What sandboxd offers on its socket. */
export function sandboxRoutes(host: Host, findings: () => readonly Finding[]): (router: ConnectRouter) => void {
  return (router) =>
    router.service(SandboxService, {
      probe: () => ({
        runtime: `${host.runtime.name} ${host.runtime.version}`,
        running: host.slots.running,
        capacity: host.slots.capacity,
        findings: findings().map((finding) => ({ ...finding, state: stateOf(finding.state), remedy: finding.remedy ?? "" })),
      }),
      sandbox: (requests, context) => converse(requests, context, host),
    });
}

/** Ends with the stream, whichever side ends it; the sandbox is removed by then. */
async function* converse(
  requests: AsyncIterable<SandboxRequest>,
  { signal }: HandlerContext,
  host: Host,
): AsyncGenerator<SandboxResponse> {
  const events = new Channel<SandboxResponse>();
  signal.addEventListener("abort", () => events.drop(), { once: true });
  const listening = listen(requests, events, host);
  try {
    yield* events;
  } finally {
    events.drop();
    await listening;
  }
}

async function listen(requests: AsyncIterable<SandboxRequest>, events: Channel<SandboxResponse>, host: Host): Promise<void> {
  await using conversation = new Conversation(host, events);
  try {
    for await (const { command } of requests) await conversation.handle(command);
  } catch {
    // The stream broke: the sandbox goes, as it would have at the stream's end.
  } finally {
    events.end();
  }
}
