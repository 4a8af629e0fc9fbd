import type { ProofRequest, Verdict } from "../../scripts/prove.ts";
import { nearMisses } from "./policy/near-misses.ts";
import type { Found, Part, Trial } from "./policy/part.ts";
import { siteRooms } from "./policy/site.ts";
import { slots } from "./policy/slots.ts";
import { neverThrows } from "./policy/never-throws.ts";
import { randomPolicies } from "./policy/random-policies.ts";
import { yamlRows } from "./policy/yaml-rows.ts";
import { realSubject } from "./policy/subject.ts";

const parts = { slots, nearMisses, yamlRows, neverThrows, randomPolicies } as const satisfies Readonly<Record<string, Part>>;

export async function prove({ size, random, note }: ProofRequest): Promise<Verdict> {
  const trial: Trial = { size, random, note, subject: realSubject(await siteRooms()) };
  const found: Found[] = [];
  for (const [name, part] of Object.entries(parts)) {
    const began = performance.now();
    const one = await part(trial);
    found.push(one);
    note(`${name}: ${one.held ? "held" : "did not hold"}, ${((performance.now() - began) / 1_000).toFixed(1)} s`);
  }
  return {
    claim: found.map(({ claim }) => claim).join("; "),
    held: found.every(({ held }) => held),
    figures: Object.assign({}, ...found.map(({ figures }) => figures)),
  };
}
