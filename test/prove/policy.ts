import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { figures } from "./policy/figures.ts";
import { lint } from "./policy/lint.ts";
import { nearMisses } from "./policy/near-misses.ts";
import { neverThrows } from "./policy/never-throws.ts";
import type { Found, Part, Trial } from "./policy/part.ts";
import { randomPolicies } from "./policy/random-policies.ts";
import { reload } from "./policy/reload.ts";
import { sabotages } from "./policy/sabotage.ts";
import { siteRooms } from "./policy/site.ts";
import { slots } from "./policy/slots.ts";
import { realSubject } from "./policy/subject.ts";
import { yamlRows } from "./policy/yaml-rows.ts";

/** In this order; each says what it tried. */
const parts = {
  randomPolicies,
  neverThrows,
  slots,
  nearMisses,
  lint,
  yamlRows,
  figures,
  reload,
} as const satisfies Readonly<Record<string, Part>>;

/** Templates give what they say to whom they say, and nothing else: whatever is written, whoever asks, and while they change. */
export async function prove({ size, random, sabotage, note }: ProofRequest): Promise<Verdict> {
  const whole = { parts: Object.keys(parts), subject: (real: Trial["subject"]) => real };
  const fault = sabotage === undefined ? whole : sabotages[sabotage];
  if (fault === undefined) throw new Error(`policy knows the sabotages ${Object.keys(sabotages).join(", ")}`);
  const trial: Trial = { size, random, note, subject: fault.subject(realSubject(await siteRooms())) };
  const found: Found[] = [];
  for (const [name, part] of Object.entries(parts)) {
    if (!fault.parts.includes(name)) continue;
    const began = performance.now();
    const one = await part(trial);
    found.push(one);
    note(`${name}: ${one.held ? "held" : "did not hold"}, ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  }
  return {
    claim: found.map(({ claim }) => claim).join("; "),
    held: found.every(({ held }) => held),
    figures: Object.assign({}, ...found.map((one) => one.figures)) as Verdict["figures"],
  };
}
