import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Peer } from "../contract.ts";
import { BrokerError } from "../errors.ts";
import type { Connection } from "./connection.ts";

/** How a handler learns who calls. Nobody is the default, so a call that went around the door is refused everywhere. */
export const caller = createContextKey<Connection | undefined>(undefined, { description: "caller" });

/** Whether an interceptor saw this call: what Connect cannot read, it refuses before. */
export const heard = createContextKey(false, { description: "heard" });

/** The kernel's word; `rightDoor` has made sure that there is one. */
export function peerIn(context: Pick<HandlerContext, "values">): Peer {
  const from = context.values.get(caller);
  if (from === undefined) throw new BrokerError("not-allowed");
  return from.peer;
}
