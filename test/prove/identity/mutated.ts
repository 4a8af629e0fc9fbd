import { BrokerError } from "../../../src/errors.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import { Secret } from "../../../src/secret.ts";
import type { MakeVerifier } from "../../identity/bad-tokens/stage.ts";
import { ManualClock } from "../../identity/manual-clock.ts";
import { pick, type Random } from "./chance.ts";
import type { Draft } from "./operator.ts";
import { operators } from "./operators.ts";
import { type Found, say, type Trial } from "./part.ts";
import { at, type Source, sources, tokenOf } from "./sources.ts";
import { twinOf } from "./twin.ts";

const mutations = { small: 10_000, full: 100_000 } as const;

export type Verify = (token: string, refused?: (error: BrokerError) => void) => Promise<Identity | undefined>;

/** A verifier of the sources alone; undefined where it refuses. */
export function verifyWith(make: MakeVerifier): Verify {
  const config = issuersSchema.parse(Object.fromEntries(sources.map(({ name, config: written }) => [name, written])));
  const verifier = make({
    profiles: compileProfiles(config, () => ""),
    fetch: () => Promise.reject(new Error("no network")),
    readFile: () => Promise.reject(new Error("no file")),
    clock: new ManualClock(at),
    history: noHistory,
  });
  return (token, refused) =>
    verifier.verify(Secret.of(token), AbortSignal.timeout(10_000)).catch((error: unknown) => {
      if (!(error instanceof BrokerError) || error.code === "internal") throw error;
      refused?.(error);
      return undefined;
    });
}

/** Changed tokens: none is accepted but where it is the very same signed token, which then has the very same replay key. */
export async function mutated(trial: Trial): Promise<Found> {
  const verify = verifyWith(trial.makeVerifier);
  const count = { tried: 0, accepted: 0, twins: 0, twinsWithAnotherKey: 0, controls: 0, controlsAccepted: 0 };
  const wrong: string[] = [];
  const used = new Set<string>();
  while (count.tried < mutations[trial.size]) {
    const draft = await draftOf(trial.random, verify, count);
    if (draft.source.key.alg === "ES256") await tryTwin(draft.token, verify, count);
    for (const [name, operator] of operators) {
      const changed = operator(draft, trial.random);
      if (changed === draft.token) continue;
      used.add(name);
      count.tried += 1;
      if ((await verify(changed)) !== undefined) wrong.push(`${draft.source.name}, ${name}`);
    }
  }
  count.accepted = wrong.length;
  say(trial, "mutated and accepted", wrong);
  return {
    claim: `${count.tried} mutations by ${operators.length} operators (${count.twins} twin signatures: the same token, the same replay key)`,
    held: count.accepted + count.twinsWithAnotherKey === 0 && count.twins > 0 && used.size === operators.length,
    figures: {
      mutations: count.tried,
      mutationsAccepted: count.accepted,
      operators: used.size,
      twinSignatures: count.twins,
      twinsWithAnotherKey: count.twinsWithAnotherKey,
    },
    bad: count.tried,
    accepted: count.accepted,
    controls: count.controls,
    controlsAccepted: count.controlsAccepted,
  };
}

async function draftOf(random: Random, verify: Verify, count: { controls: number; controlsAccepted: number }): Promise<Draft> {
  const source: Source = pick(random, sources);
  const [token, other] = [tokenOf(source), tokenOf(pick(random, sources))];
  count.controls += 1;
  if ((await verify(token)) !== undefined) count.controlsAccepted += 1;
  return { source, token, other };
}

async function tryTwin(token: string, verify: Verify, count: { twins: number; twinsWithAnotherKey: number }): Promise<void> {
  const [original, twin] = [await verify(token), await verify(twinOf(token))];
  if (twin === undefined) return;
  count.twins += 1;
  if (original?.token.key !== twin.token.key) count.twinsWithAnotherKey += 1;
}
