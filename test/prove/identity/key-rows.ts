import { keyRows } from "../../identity/keys/key-rows.ts";
import { type Found, say, type Trial } from "./part.ts";

/** J-21: issuers, and whoever is in their place, that misbehave; each row with real servers. */
export async function issuersMisbehaving(trial: Trial): Promise<Found> {
  const wrong: string[] = [];
  const figures: Record<string, string> = {};
  for (const row of keyRows) {
    const { held, figures: seen } = await row.run();
    figures[`${row.id} ${row.name}`] = JSON.stringify(seen);
    if (!held) wrong.push(`${row.id} ${row.name}: ${JSON.stringify(seen)}`);
  }
  say(trial, "issuers", wrong);
  return {
    claim: `${keyRows.length - wrong.length} of ${keyRows.length} rows of misbehaving issuers hold`,
    held: wrong.length === 0 && keyRows.length >= 9,
    figures: { issuerRows: keyRows.length, issuerRowsHeld: keyRows.length - wrong.length, ...figures },
  };
}
