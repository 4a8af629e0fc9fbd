import { BrokerError, codes } from "../../../src/errors.ts";
import { badTokens } from "../../identity/bad-tokens/all.ts";
import { type BadToken, rows } from "../../identity/bad-tokens/bad-token.ts";
import { goodTokens } from "../../identity/bad-tokens/good.ts";
import { openStage, type Stage } from "../../identity/bad-tokens/stage.ts";
import { type Found, say, type Trial } from "./part.ts";

/** Every hand-made token, refused with its own code and in that code's own words, and without a call to anybody. */
export async function handMade(trial: Trial): Promise<Found> {
  await using stage = await openStage(trial.makeVerifier);
  const wrong: string[] = [];
  const perRow = new Map<string, number>();
  let accepted = 0;
  for (const token of badTokens) {
    const flaw = await flawOf(token, stage);
    if (flaw === "accepted") accepted += 1;
    if (flaw !== undefined) wrong.push(`${token.row} ${token.name}: ${flaw}`);
    perRow.set(token.row, (perRow.get(token.row) ?? 0) + 1);
  }
  for (const [row, { fewest }] of Object.entries(rows)) {
    const tried = perRow.get(row) ?? 0;
    if (tried < fewest) wrong.push(`${row}: ${tried} tokens, ${fewest} are wanted`);
  }
  const controlsAccepted = await countAccepted(stage, wrong);
  const calls = stage.connections() + stage.fetches();
  if (calls > 0) wrong.push(`${calls} calls were made because of a token`);
  say(trial, "hand-made", wrong);
  return {
    claim: `${badTokens.length} made by hand (${perRow.size} rows), ${calls} outbound calls caused`,
    held: wrong.length === 0,
    figures: {
      handMade: badTokens.length,
      handMadeAccepted: accepted,
      handMadeWrong: wrong.length,
      outboundCalls: calls,
      ...Object.fromEntries(perRow),
    },
    bad: badTokens.length,
    accepted,
    controls: goodTokens.length,
    controlsAccepted,
  };
}

/** What is wrong with a refusal; undefined: nothing. */
async function flawOf({ make, code }: BadToken, stage: Stage): Promise<string | undefined> {
  const error = await stage.present(make(stage)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) return "accepted";
  if (!(error instanceof BrokerError)) return "failed in a way that was not foreseen";
  if (error.code !== code) return `refused as ${error.code}, not as ${code}`;
  if (error.message !== codes[code] || error.cause !== undefined) return "says more than its code";
  // An issuer that is away is no word about the token.
  const hint = code === "issuer-unavailable" ? "try again in a minute" : undefined;
  return error.hint === hint ? undefined : "gives a hint";
}

async function countAccepted(stage: Stage, wrong: string[]): Promise<number> {
  let accepted = 0;
  for (const { name, make } of goodTokens) {
    const ok = await stage.present(make(stage)).then(
      () => true,
      () => false,
    );
    if (ok) accepted += 1;
    else wrong.push(`the control ${name} was refused`);
  }
  return accepted;
}
