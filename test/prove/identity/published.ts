import { haveVectors, type Judged, judge, vectorFiles } from "../../identity/vectors.ts";
import { type Found, say, type Trial } from "./part.ts";

/** Two vectors want a key that says PS256 to verify PS384, which our key set refuses. */
const notOurs = 2;

interface Count {
  invalid: number;
  withoutUsableKey: number;
  controls: number;
  controlsAccepted: number;
  readonly wrong: string[];
}

/**
 * Project Wycheproof's vectors. The `json_web_*` files are whole JWS and JWE texts: presented as tokens, and each JWS once more to jose with
 * the key that our key set gives. The others are bare signatures: verified by what jose calls, with the key that our key set gives, and
 * presented as the signature of a token that is good in every other way.
 */
export async function published(trial: Trial): Promise<Found> {
  if (!haveVectors) {
    const claim = "no published vectors, which are not beside this clone";
    return { claim, held: true, figures: { publishedInvalid: 0 } };
  }
  const count: Count = { invalid: 0, withoutUsableKey: 0, controls: 0, controlsAccepted: 0, wrong: [] };
  const perFile: Record<string, number> = {};
  for (const file of Object.keys(vectorFiles)) {
    const before = count.invalid;
    for await (const judged of judge(file, trial.makeVerifier)) tally(judged, count);
    perFile[file] = count.invalid - before;
  }
  const { wrong, ...counts } = count;
  say(trial, "published", wrong);
  const files = Object.keys(perFile).length;
  return {
    claim: `${count.invalid} published invalid vectors of ${files} files as tokens and by their signatures (${count.controlsAccepted} valid signatures accepted)`,
    held: wrong.length === 0 && count.controlsAccepted >= count.controls - notOurs,
    figures: {
      publishedInvalid: counts.invalid,
      publishedAccepted: wrong.length,
      publishedInvalidWithoutUsableKey: counts.withoutUsableKey,
      publishedValidSignatures: counts.controls,
      publishedValidAccepted: counts.controlsAccepted,
      ...perFile,
    },
    bad: count.invalid,
    accepted: wrong.length,
  };
}

function tally({ name, result, asToken, bySignature }: Judged, count: Count): void {
  if (asToken) count.wrong.push(`${name}, as a token`);
  if (result === "valid") {
    count.controls += bySignature === undefined ? 0 : 1;
    count.controlsAccepted += bySignature === true ? 1 : 0;
    return;
  }
  if (bySignature === true) count.wrong.push(`${name}, by its signature`);
  if (result !== "invalid") return;
  count.invalid += 1;
  count.withoutUsableKey += bySignature === undefined ? 1 : 0;
}
