import { type Answer, ecKey, json, now } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { html } from "../misbehaving.ts";
import { changesOf, goodKey, type KeyRow, minute, openStage, verdict } from "./stage.ts";

const other = ecKey("other");
const served = (...keys: readonly object[]): Answer => json(() => ({ keys }));

const sets: Readonly<Record<string, readonly [answer: Answer, why: string]>> = {
  "a page of HTML": [html, "the answer is a page of HTML"],
  "keys as text/html": [
    (_, response) => response.setHeader("content-type", "text/html").end(JSON.stringify({ keys: [other.jwk] })),
    "the answer is a page of HTML",
  ],
  "an empty body": [(_, response) => response.end(), "what came is not strict JSON"],
  "an empty set": [served(), "no usable key: the set is empty"],
  "no set": [json(() => ({})), "not a key set"],
  "only keys for encryption": [served({ ...other.jwk, use: "enc" }), "no usable key: not for signing tokens"],
  "only keys for another algorithm": [served({ ...other.jwk, alg: "ES512" }), "no usable key: for another algorithm"],
  "only a private key": [served({ ...other.jwk, d: "AAAA" }), "no usable key: its private part was published"],
  "the same kid twice": [served(goodKey.jwk, { ...other.jwk, kid: goodKey.kid }), "two keys with the same kid"],
  "one key twice": [served(goodKey.jwk, goodKey.jwk), "two keys with the same kid"],
  "a member twice": [(_, response) => response.end('{"keys":[],"keys":[]}'), "what came is not strict JSON"],
};

interface Tried {
  readonly outcomes: ReadonlySet<string>;
  readonly recorded: string;
  readonly trouble: string;
  readonly after: string;
}

/** Ten reads of it after a good set, and then a good one again. */
async function read(answer: Answer): Promise<Tried> {
  const clock = new ManualClock(now);
  await using stage = await openStage({ clock });
  await stage.tried(goodKey);
  const usual = stage.issuer.answers.get("/jwks");
  stage.issuer.answers.set("/jwks", answer);
  const outcomes = new Set<string>();
  clock.advance(5 * minute + 1);
  for (let round = 0; round < 10; round += 1) {
    outcomes.add(await stage.tried(goodKey));
    await stage.verifier.readAnew("ci");
    clock.advance(minute);
  }
  const trouble = stage.readiness().trouble ?? "";
  if (usual !== undefined) stage.issuer.answers.set("/jwks", usual);
  await stage.verifier.readAnew("ci");
  return { outcomes, recorded: changesOf(stage.records), trouble, after: stage.readiness().keys };
}

export const unusable: KeyRow = {
  id: "J-21h",
  name: "a set without a usable key, or with a kid twice, never replaces a good one, and is recorded once",
  async run() {
    const bars: Record<string, boolean> = {};
    for (const [name, [answer, why]] of Object.entries(sets)) {
      const { outcomes, recorded, trouble, after } = await read(answer);
      bars[`${name}: the old key stays`] = [...outcomes].join() === "accepted";
      bars[`${name}: recorded once (${recorded})`] = recorded === "first good, refused, reachable";
      bars[`${name}: ${trouble}`] = trouble.startsWith(why);
      bars[`${name}: ready afterwards`] = after === "ready";
    }
    return verdict(bars, { sets: Object.keys(sets).length, readsEach: 11 });
  },
};
