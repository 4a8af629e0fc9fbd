import { signedBy } from "../../identity/bad-tokens/makers.ts";
import { bytes, pick, type Random, whole } from "./chance.ts";
import type { Source } from "./sources.ts";

/** What an issuer might sign some day: claims and headers of odd values and spellings, good and bad ones alike, rightly signed. */
export function oddToken(source: Source, random: Random): string {
  const claims = changedClaims(source, random);
  const header =
    random() < 0.2
      ? { ...source.header, [pick(random, ["typ", "x5t", "crit", "b64", "foo"])]: oddValue(random) }
      : source.header;
  return signedBy(source.key, header, respelled(JSON.stringify(claims), random));
}

function changedClaims(source: Source, random: Random): Readonly<Record<string, unknown>> {
  const claims: Record<string, unknown> = { ...source.claims() };
  for (let left = whole(random, 4); left > 0; left--) {
    const name = pick(random, [...Object.keys(claims), "nbf", "ref_protected", "act", "cnf", "é", "a.b/c"]);
    claims[name] = pick<() => unknown>(random, [
      () => oddValue(random),
      () => near(claims[name], random),
      () => [claims[name]],
      () => claims[name],
    ])();
  }
  return claims;
}

/** Close to what it was: a second more or less, a letter more. */
function near(value: unknown, random: Random): unknown {
  if (typeof value === "number")
    return value + pick(random, [-400, -331, -330, -329, -31, -30, -1, 1, 29, 30, 31, 600, 3_600, 0.5]);
  if (typeof value === "string")
    return pick(random, [`${value} `, value.toUpperCase(), `${value}/`, value.slice(1), `${value}\u0000`, `${value}é`]);
  return value;
}

function oddValue(random: Random): unknown {
  return pick<() => unknown>(random, [
    () => whole(random, 2 ** 31),
    () => random() * 1e12,
    () => 2 ** 53 + whole(random, 1e6),
    () => bytes(random, 4).toString("hex"),
    () => "😀\u2028é",
    () => null,
    () => random() < 0.5,
    () => ["a", "b"],
    () => [1, "a", null],
    () => ({ a: { b: [1] } }),
    () => "",
  ])();
}

/** The same JSON in other letters, or nearly so. */
function respelled(text: string, random: Random): string {
  return pick<() => string>(random, [
    () => text,
    () => text,
    () => text,
    () => text.replaceAll(",", ", "),
    () => text.replaceAll("/", "\\/"),
    () => text.replace(/[a-z](?=[a-z]*":)/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`),
    () => text.replace(/:([0-9]+)/, ":$1.0"),
    () => text.replace(/:([0-9]+)/, ":$1e0"),
    () => text.replace("{", '{"exp":1,'),
    () => text.replace(/}$/, ',"aud":"x"}'),
    () => `\n${text} `,
  ])();
}
