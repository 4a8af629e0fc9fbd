import type { Ending, Minted, MintRequest } from "../../src/lease/provider.ts";
import { secretsOf } from "../../src/material.ts";
import type { Given } from "./engines/engine.ts";
import { check, endsOf, obtain } from "./engines.ts";
import type { VaultOptions } from "./options.ts";
import { type Call, giveBack, openLease, type Speaking, undo } from "./session.ts";

/**
 * One credential, asked for as the lease's own token. Where Vault can take the credential back, that token stays, as the way to it; where it
 * cannot, the token is given back at once.
 */
export async function mint(call: Call, { intent, options }: MintRequest<VaultOptions>): Promise<Minted> {
  check(options, intent.ttl);
  const speaking = await openLease(call, intent, options.role);
  const { client } = speaking;
  const given = await obtain({ client, intent, options, now: () => call.clock.now() }).catch((error: unknown) =>
    undo(client, error),
  );
  const { material } = given;
  const ends = endsOf(options);
  if (ends === "revoke") return { material, ending: revocable(call, intent.ttl, speaking, given) };
  await giveBack(client).catch((error: unknown) => {
    for (const secret of secretsOf(material)) secret.wipe();
    throw error;
  });
  return {
    material,
    ending: ends === "static" ? { kind: "static" } : { kind: "expires", at: given.until ?? intent.latestExpiry },
  };
}

/**
 * A lease never outlives its token, so it lives as long as the shorter of the two; with a dead man's switch the token is renewed, and what
 * counts is the credential's own life.
 */
function revocable({ config, clock }: Call, ttl: number, { auth }: Speaking, { handle = {}, life = 0 }: Given): Ending {
  const token = auth.lease_duration * 1_000;
  const renewed = config.dead_man !== undefined && token < Math.min(life, ttl);
  const expiresAt = clock.now() + (renewed ? Math.min(life, ttl) : Math.min(life, token));
  const whole = { accessor: auth.accessor, ...handle, ...(renewed ? { until: String(expiresAt) } : {}) };
  return { kind: "revoke", handle: whole, expiresAt, ...(renewed ? { renewWithin: token } : {}) };
}
