import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../../../src/time.ts";
import { ecKey, now, type TestKey } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { silence } from "../misbehaving.ts";
import { goodKey, type KeyRow, type KeyStage, minute, openStage, verdict } from "./stage.ts";

const newKey = ecKey("new");

/** A job a second: how long until the outcome of this key's tokens is another one. */
async function secondsUntil(stage: KeyStage, clock: ManualClock, key: TestKey, wanted: string): Promise<number> {
  for (let second = 0; second < 600; second += 1) {
    if ((await stage.tried(key)) === wanted) return second;
    clock.advance(1_000);
    // A read in the background is real, and needs its few milliseconds of loopback within that second.
    await sleep(5);
  }
  return Number.POSITIVE_INFINITY;
}

async function overTheNetwork(): Promise<{ readonly added: number; readonly withdrawn: number }> {
  const clock = new ManualClock(now);
  await using stage = await openStage({ clock });
  await stage.tried(goodKey);
  stage.keys = [goodKey, newKey];
  const added = await secondsUntil(stage, clock, newKey, "accepted");
  stage.keys = [newKey];
  return { added, withdrawn: await secondsUntil(stage, clock, goodKey, "token-signature") };
}

async function fromFile(): Promise<{ readonly added: number; readonly withdrawn: number }> {
  const clock = new ManualClock(now);
  const folder = await mkdtemp(join(tmpdir(), "mayfly-keys-"));
  const path = join(folder, "jwks.json");
  const write = async (keys: readonly TestKey[]): Promise<void> => {
    await writeFile(`${path}.new`, JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }));
    await rename(`${path}.new`, path);
  };
  try {
    await write([goodKey]);
    await using stage = await openStage({ clock, profile: (profile) => ({ ...profile, keys: { kind: "file", path } }) });
    await stage.tried(goodKey);
    await write([goodKey, newKey]);
    const added = await secondsUntil(stage, clock, newKey, "accepted");
    await write([newKey]);
    return { added, withdrawn: await secondsUntil(stage, clock, goodKey, "token-signature") };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What a responder asks for, while nothing would be read for minutes; and what it costs when the issuer does not answer. */
async function asked(): Promise<{ readonly refusedAfter: string; readonly seconds: number; readonly hungSeconds: number }> {
  const clock = new ManualClock(now);
  await using stage = await openStage({ clock });
  await stage.tried(goodKey);
  stage.keys = [newKey];
  clock.advance(minute);
  const begun = performance.now();
  await stage.verifier.readAnew("ci");
  const seconds = (performance.now() - begun) / 1_000;
  const refusedAfter = await stage.tried(goodKey);
  return { refusedAfter, seconds, hungSeconds: await hung() };
}

async function hung(): Promise<number> {
  await using stage = await openStage({ clock: systemClock });
  await stage.verifier.readAnew("ci");
  stage.issuer.answers.set("/jwks", silence);
  const begun = performance.now();
  await stage.verifier.readAnew("ci");
  return stage.readiness().keys === "stale" ? (performance.now() - begun) / 1_000 : Number.POSITIVE_INFINITY;
}

export const rotation: KeyRow = {
  id: "J-21e",
  name: "a new key is usable within 60 s, a withdrawn one refused within 5 min, and at once when an operator asks",
  async run() {
    const [network, file, operator] = [await overTheNetwork(), await fromFile(), await asked()];
    return verdict(
      {
        "new key within 60 s": network.added <= 60,
        "withdrawn key refused within 300 s": network.withdrawn <= 300,
        "new key of a file within 60 s": file.added <= 60,
        "withdrawn key of a file within 60 s": file.withdrawn <= 60,
        "refreshed: refused at once": operator.refusedAfter === "token-signature",
        "refreshed within 2 s": operator.seconds <= 2,
        "refreshed within 2 s though the issuer hangs": operator.hungSeconds <= 2,
      },
      { network, file, operator },
    );
  },
};
