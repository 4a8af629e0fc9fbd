import { BrokerError, type Code } from "../../../src/errors.ts";
import { compileProfiles, issuersSchema } from "../../../src/identity/issuers/issuers.ts";
import { noHistory } from "../../../src/identity/keys/key-history.ts";
import { presetNames } from "../../../src/identity/presets/presets.ts";
import { Secret } from "../../../src/secret.ts";
import { ManualClock } from "../../identity/manual-clock.ts";
import { type GoldenCase, goldenCases } from "../../identity/presets/golden.ts";
import { type Found, say, type Trial } from "./part.ts";
import { at } from "./sources.ts";

interface Count {
  bad: number;
  accepted: number;
  controls: number;
  controlsAccepted: number;
  readonly covered: Set<string>;
  readonly wrong: string[];
}

/** Every preset's golden tokens, all issuers in one configuration: the good ones are believed as what they are, the others are not. */
export async function golden(trial: Trial): Promise<Found> {
  const cases = goldenCases(at);
  const config = issuersSchema.parse(Object.fromEntries(cases.map(({ issuer, config: written }) => [issuer, written])));
  const verifier = trial.makeVerifier({
    profiles: compileProfiles(config, () => ""),
    fetch: () => Promise.reject(new Error("no network")),
    readFile: () => Promise.reject(new Error("no file")),
    clock: new ManualClock(at),
    history: noHistory,
  });
  const count: Count = { bad: 0, accepted: 0, controls: 0, controlsAccepted: 0, covered: new Set(), wrong: [] };
  for (const one of cases) {
    const outcome: unknown = await verifier
      .verify(Secret.of(one.sign()), AbortSignal.timeout(10_000))
      .catch((error: unknown) => error);
    const flaw = "refused" in one.expected ? refused(one.expected.refused, outcome, count) : believed(one, outcome, count);
    if (flaw !== undefined) count.wrong.push(`${one.issuer}, ${one.name}: ${flaw}`);
  }
  const { covered, wrong, ...counts } = count;
  say(trial, "golden", wrong);
  return {
    claim: `${counts.controls} golden tokens of ${covered.size} presets believed as what they are`,
    held: wrong.length === 0 && covered.size === presetNames.length && counts.controlsAccepted >= 40,
    figures: { golden: counts.controlsAccepted, goldenRefused: counts.bad, presets: covered.size, goldenWrong: wrong.length },
    ...counts,
  };
}

/** What is wrong; undefined: nothing. */
function refused(code: Code, outcome: unknown, count: Count): string | undefined {
  count.bad += 1;
  if (outcome instanceof BrokerError) return outcome.code === code ? undefined : `refused as ${outcome.code}`;
  count.accepted += 1;
  return "accepted";
}

function believed({ expected, issuer, preset }: GoldenCase, outcome: unknown, count: Count): string | undefined {
  count.controls += 1;
  if (typeof outcome !== "object" || outcome === null || outcome instanceof Error) return "refused";
  count.controlsAccepted += 1;
  const wanted = { ...expected, issuer } as Readonly<Record<string, unknown>>;
  const wrong = ["issuer", "trust", "workload", "job"].find((name) => (outcome as typeof wanted)[name] !== wanted[name]);
  if (wrong !== undefined) return `another ${wrong}`;
  count.covered.add(preset);
  return undefined;
}
