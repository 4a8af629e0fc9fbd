import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { createVerifier } from "../../src/identity/verify.ts";
import { againstBrokers } from "./identity/against-brokers.ts";
import { cost } from "./identity/cost.ts";
import { differential } from "./identity/differential.ts";
import { golden } from "./identity/golden.ts";
import { handMade } from "./identity/hand-made.ts";
import { issuersMisbehaving } from "./identity/key-rows.ts";
import { mutated } from "./identity/mutated.ts";
import type { Found, Part, Trial } from "./identity/part.ts";
import { published } from "./identity/published.ts";
import { sabotages } from "./identity/sabotage.ts";

/** In this order; each says what it tried. */
const parts = {
  published,
  handMade,
  golden,
  mutated,
  differential,
  cost,
  issuersMisbehaving,
  againstBrokers,
} as const satisfies Readonly<Record<string, Part>>;

/** No forged token is accepted, by whatever way it was forged, and every good one is. */
export async function prove({ size, random, sabotage, note }: ProofRequest): Promise<Verdict> {
  const fault = sabotage === undefined ? { makeVerifier: createVerifier, parts: Object.keys(parts) } : sabotages[sabotage];
  if (fault === undefined) throw new Error(`identity knows the sabotages ${Object.keys(sabotages).join(", ")}`);
  const trial: Trial = { size, random, note, makeVerifier: fault.makeVerifier, sabotage };
  const found: Found[] = [];
  for (const [name, part] of Object.entries(parts)) {
    if (!fault.parts.includes(name)) continue;
    const began = performance.now();
    const one = await part(trial);
    found.push(one);
    note(`${name}: ${one.held ? "held" : "did not hold"}, ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  }
  return verdictOf(found);
}

function verdictOf(found: readonly Found[]): Verdict {
  const sum = (name: "bad" | "accepted" | "controls" | "controlsAccepted"): number =>
    found.reduce((so, part) => so + (part[name] ?? 0), 0);
  const count = {
    bad: sum("bad"),
    accepted: sum("accepted"),
    controls: sum("controls"),
    controlsAccepted: sum("controlsAccepted"),
  };
  const inWords = (number: number): string => number.toLocaleString("en-US");
  const tokens = `${inWords(count.bad)} bad tokens tried, ${inWords(count.accepted)} accepted`;
  const controls = `${inWords(count.controls)} valid controls, ${inWords(count.controlsAccepted)} accepted`;
  return {
    claim: [tokens, controls, ...found.map(({ claim }) => claim)].join("; "),
    held: found.every(({ held }) => held) && count.accepted === 0 && count.controls === count.controlsAccepted,
    figures: Object.assign({ ...count }, ...found.map(({ figures }) => figures)) as Verdict["figures"],
  };
}
