import { ecKey, now } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { changesOf, goodKey, type KeyRow, type KeyStage, minute, openStage, recalled, verdict } from "./stage.ts";

const attackers = ecKey("attackers");
const impostor = { ...ecKey(goodKey.kid), kid: goodKey.kid };
const hold = 60 * minute;

/** After its good set was read, the issuer serves these. */
async function poisonedStage(keys: KeyStage["keys"], held: number, clock: ManualClock): Promise<KeyStage> {
  const stage = await openStage({ clock, profile: (profile) => ({ ...profile, hold: held }) });
  await stage.tried(goodKey);
  stage.keys = keys;
  await stage.verifier.readAnew("ci");
  return stage;
}

async function added(): Promise<Record<string, boolean>> {
  const clock = new ManualClock(now);
  await using stage = await poisonedStage([goodKey, attackers], hold, clock);
  const bars: Record<string, boolean> = {
    "the new key is recorded": changesOf(stage.records) === "first good, added attackers",
    "its token is held": (await stage.tried(attackers)) === "key-held",
    "the good key goes on": (await stage.tried(goodKey)) === "accepted",
    "it is shown as held": stage.readiness().held.join() === attackers.kid && stage.readiness().kids.join() === goodKey.kid,
  };
  clock.advance(hold - 1);
  bars["held to the last moment"] = (await stage.tried(attackers)) === "key-held";
  bars["held after a restart"] = (await restarted(stage, clock, attackers)) === "key-held";
  clock.advance(1);
  bars["accepted when the hold is over"] = (await stage.tried(attackers)) === "accepted";
  bars["and after a restart then"] = (await restarted(stage, clock, attackers)) === "accepted";
  return bars;
}

/** A broker that knows only what the first one recorded, an hour ago. */
async function restarted(stage: KeyStage, clock: ManualClock, key: typeof attackers, accepted?: string): Promise<string> {
  const past = [
    ...recalled(stage.records, now),
    ...(accepted === undefined ? [] : [{ kind: "accepted" as const, key: accepted }]),
  ];
  await using after = await openStage({
    clock,
    past,
    keys: stage.keys,
    profile: (profile) => ({ ...profile, hold }),
  });
  return await after.tried(key);
}

async function accepted(): Promise<Record<string, boolean>> {
  const clock = new ManualClock(now);
  await using stage = await poisonedStage([goodKey, attackers], hold, clock);
  const name = stage.verifier.heldKey("ci", attackers.kid);
  stage.verifier.accept(name);
  return {
    "accepted at once": (await stage.tried(attackers)) === "accepted",
    "accepted after a restart": (await restarted(stage, clock, attackers, name)) === "accepted",
    "held after a restart without that word": (await restarted(stage, clock, attackers)) === "key-held",
  };
}

async function replaced(): Promise<Record<string, boolean>> {
  const clock = new ManualClock(now);
  await using stage = await poisonedStage([impostor], hold, clock);
  return {
    "the same kid with another key is recorded": changesOf(stage.records) === "first good, replaced good",
    "its token is held too": (await stage.tried(impostor)) === "key-held",
    "the replaced key is not used": (await stage.tried(goodKey)) === "token-signature",
  };
}

/** Shown once and taken away, to come back when its hold would be over. */
async function hidden(): Promise<Record<string, boolean>> {
  const clock = new ManualClock(now);
  await using stage = await poisonedStage([goodKey, attackers], hold, clock);
  stage.keys = [goodKey];
  await stage.verifier.readAnew("ci");
  clock.advance(hold + 1);
  stage.keys = [goodKey, attackers];
  await stage.verifier.readAnew("ci");
  return {
    "a key that comes back is held anew": (await stage.tried(attackers)) === "key-held",
    "and recorded each time": changesOf(stage.records) === "first good, added attackers, withdrawn attackers, added attackers",
  };
}

async function withoutHold(): Promise<Record<string, boolean>> {
  await using stage = await poisonedStage([goodKey, attackers], 0, new ManualClock(now));
  return {
    "without a hold it is accepted": (await stage.tried(attackers)) === "accepted",
    "and recorded": changesOf(stage.records) === "first good, added attackers",
  };
}

export const poisoned: KeyRow = {
  id: "J-21i",
  name: "a key that was added beside good ones is recorded at first sight, and held back where that is asked for",
  async run() {
    const bars = Object.assign({}, await added(), await accepted(), await replaced(), await hidden(), await withoutHold());
    return verdict(bars, { holdMinutes: hold / minute, checks: Object.keys(bars).length });
  },
};
