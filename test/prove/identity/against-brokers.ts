import { startBrokers } from "./brokers.ts";
import { flood } from "./flood.ts";
import type { Found, Trial } from "./part.ts";
import { replay } from "./replay.ts";

/** What only real brokers can show: one token, one session; and a flood of refusals. */
export async function againstBrokers(trial: Trial): Promise<Found> {
  await using brokers = await startBrokers();
  const [once, flooded] = [await replay(trial, brokers), await flood(trial, brokers)];
  return {
    ...flooded,
    claim: `${once.claim}; ${flooded.claim}`,
    held: once.held && flooded.held,
    figures: { ...once.figures, ...flooded.figures },
  };
}
