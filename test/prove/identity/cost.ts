import { type CryptoKey, importJWK, jwtVerify } from "jose";
import { Secret } from "../../../src/secret.ts";
import { badTokens } from "../../identity/bad-tokens/all.ts";
import { rows } from "../../identity/bad-tokens/bad-token.ts";
import { genericClaims, genericHeader, issuers, keys, signedBy } from "../../identity/bad-tokens/makers.ts";
import { openStage, type Stage } from "../../identity/bad-tokens/stage.ts";
import { audience, ecKey, githubClaims, headerOf, now, type TestKey } from "../../identity/issuer.ts";
import { type Found, say, type Trial } from "./part.ts";

/** Refusals, and the raw verify that they are measured beside. */
interface Group {
  readonly name: string;
  readonly beside: string;
  readonly tokens: readonly Secret[];
}

const turns = { small: 15, full: 60 } as const;
/** Tokens of one turn. */
const amount = 100;
const dearest = 2;
const longestStall = 2;
const stallTries = 7;

/**
 * What a refusal costs, beside jose alone verifying a good token of the same algorithm with its key imported before: by turns in one
 * run, CPU time, the least of each, since whatever else the machine does can only make a turn longer. Tokens as long as their profile allows
 * are measured beside good ones of that length. J-20 is left out, since some of its
 * tokens wait for issuers that are away.
 */
export async function cost(trial: Trial): Promise<Found> {
  await using stage = await openStage(trial.makeVerifier);
  const rowGroups = Object.keys(rows)
    .filter((row) => row !== "J-20")
    .map((row) => groupOf(row, stage));
  const groups = [...rowGroups, ...longTokens()];
  const raw = await rawTurns();
  const contenders = new Map([...Object.entries(raw), ...groups.map((group) => [group.name, refusals(group, stage)] as const)]);
  const least = new Map<string, number>();
  let ratios: readonly Ratio[] = [];
  // A busy machine may spoil every turn of one of them; more turns can only bring it nearer to what it costs.
  for (let batch = 0; batch === 0 || (batch < 4 && (ratios[0]?.ratio ?? 0) > dearest); batch++) {
    await takeTurns(contenders, least, turns[trial.size]);
    ratios = ratiosOf(groups, least);
  }
  const { name: worst, ratio } = ratios[0] ?? { name: "", ratio: 0 };
  const stall = longestStallOf(stage);
  const dear = ratios.filter((one) => one.ratio > dearest);
  say(
    trial,
    "too dear",
    dear.map((one) => `${one.name}: ${one.ratio} times a raw verify`),
  );
  return {
    claim: `a refusal costs at most ${ratio} times a raw verify (${worst}); no size or depth stalls the event loop for more than ${stall} ms`,
    held: dear.length === 0 && stall <= longestStall,
    figures: {
      worstRefusal: worst,
      worstRefusalRatio: ratio,
      longestStallMilliseconds: stall,
      rawVerifyMicroseconds: rounded(least.get("RS256") ?? 0),
      ...Object.fromEntries(ratios.map((one) => [`refusal cost, ${one.name}`, one.ratio])),
    },
  };
}

interface Ratio {
  readonly name: string;
  readonly ratio: number;
}

/** The dearest first. */
function ratiosOf(groups: readonly Group[], least: ReadonlyMap<string, number>): readonly Ratio[] {
  return groups
    .map(({ name, beside }) => ({ name, ratio: rounded((least.get(name) ?? 0) / (least.get(beside) ?? 0)) }))
    .toSorted((a, b) => b.ratio - a.ratio);
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

function groupOf(row: string, stage: Stage): Group {
  const tokens = badTokens.filter((token) => token.row === row).map(({ make }) => Secret.of(make(stage)));
  return { name: row, beside: row === "J-18" ? "ES256" : "RS256", tokens };
}

const list = (count: number, item: (nth: number) => string): string =>
  Array.from({ length: count }, (_, nth) => item(nth)).join(",");
const members = (count: number, name: (nth: string) => string): string =>
  list(count, (nth) => `"${name(nth.toString(36).padStart(3, "0"))}":1`);

/** Each is as much of one kind of work as a token may ask for; \`pieces\` are its commas, colons and brackets. */
const wastes: Readonly<Record<string, (pieces: number) => string>> = {
  "one long string": () => "",
  "many escapes": () => `"e":"${"\\u00e9".repeat(800)}"`,
  "many escaped strings": (pieces) => `"e":[${list(Math.min(pieces, 440), () => '"\\u00e9"')}]`,
  "many members": (pieces) => members(pieces / 2, (nth) => `m${nth}`),
  "many members with long names": (pieces) => members(pieces / 2, (nth) => `a-rather-long-${nth}`),
  "many numbers for names": (pieces) => list(pieces / 2, (nth) => `"${1_000 + nth}":1`),
  "many escaped names": (pieces) => members(pieces / 2, (nth) => `\\u0061${nth}`),
  "many empty lists": (pieces) => `"e":[${list(pieces / 2, () => "[]")}]`,
  "many empty objects": (pieces) => `"e":[${list(pieces / 2, () => "{}")}]`,
  "many small objects": (pieces) => `"e":[${list(pieces / 3, () => '{"a":1}')}]`,
  "15 levels again and again": (pieces) => `"e":[${list(pieces / 15, () => `${"[".repeat(14)}${"]".repeat(14)}`)}]`,
};

const otherCurve = ecKey("e1");

const mostPieces = 512;

/** As long as their profiles allow, well formed, and signed by somebody else: everything is done for them but believing them. */
function longTokens(): readonly Group[] {
  return longKinds.flatMap((kind) =>
    Object.entries(wastes).map(
      ([name, waste]): Group => ({
        name: `${kind.kib} KiB, ${name}`,
        beside: kind.name,
        tokens: [Secret.of(longToken(kind, kind.attacker, waste))],
      }),
    ),
  );
}

const longKinds = [
  {
    name: "RS256, 8 KiB",
    kib: 8,
    key: keys.github,
    attacker: keys.attacker,
    header: headerOf(keys.github),
    claims: githubClaims(issuers.github),
  },
  { name: "ES256, 16 KiB", kib: 16, key: keys.generic, attacker: otherCurve, header: genericHeader, claims: genericClaims() },
] as const;

function longToken(
  { kib, header, claims }: (typeof longKinds)[number],
  key: TestKey,
  waste: (pieces: number) => string,
): string {
  const text = JSON.stringify(claims);
  const pieces = mostPieces - (text.match(/[,:{[]/g)?.length ?? 0) - 8;
  const wasted = [text.slice(0, -1), waste(pieces)].filter((one) => one !== "").join(",");
  const of = (padding: string): string => signedBy(key, header, `${wasted},"x":"${padding}"}`);
  const room = Math.floor((kib * 1024 - of("").length) * 0.75) - 2;
  const token = of("x".repeat(Math.max(0, room)));
  if (token.length > kib * 1024) throw new Error(`${token.length} characters`);
  return token;
}

type Turn = () => Promise<number>;

/** Good tokens verified by jose alone: of GitHub's usual length, and as long as a profile allows. */
async function rawTurns(): Promise<Readonly<Record<string, Turn>>> {
  const github = signedBy(keys.github, headerOf(keys.github), githubClaims(issuers.github));
  const generic = signedBy(keys.generic, genericHeader, genericClaims());
  const [long, longer] = longKinds;
  const plain = (): string => "";
  return {
    RS256: await rawTurn(keys.github, issuers.github, github),
    ES256: await rawTurn(keys.generic, issuers.generic, generic),
    [long.name]: await rawTurn(keys.github, issuers.github, longToken(long, long.key, plain)),
    [longer.name]: await rawTurn(keys.generic, issuers.generic, longToken(longer, longer.key, plain)),
  };
}

async function rawTurn({ alg, jwk }: TestKey, issuer: string, token: string): Promise<Turn> {
  const imported = (await importJWK({ ...jwk }, alg)) as CryptoKey;
  const options = { algorithms: [alg], issuer, audience, currentDate: new Date(now) };
  const tokens = Array.from({ length: amount }, () => token);
  return () => perToken(tokens, (one) => jwtVerify(one, imported, options));
}

function refusals({ tokens }: Group, { verifier }: Stage): Turn {
  const { signal } = new AbortController();
  const filled = Array.from({ length: amount }, (_, nth) => tokens[nth % tokens.length] as Secret);
  return () => perToken(filled, (token) => verifier.verify(token, signal).catch(() => undefined));
}

/** Microseconds of CPU, of all our threads. */
async function perToken<T>(tokens: readonly T[], verify: (token: T) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (const token of tokens) await verify(token);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / tokens.length;
}

/** Keeps the least of each. */
async function takeTurns(contenders: ReadonlyMap<string, Turn>, least: Map<string, number>, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const [name, turn] of contenders) least.set(name, Math.min(least.get(name) ?? Number.POSITIVE_INFINITY, await turn()));
  }
}

/** Milliseconds for which the longest and deepest tokens hold everybody else up. */
function longestStallOf({ verifier, ...stage }: Stage): number {
  const { signal } = new AbortController();
  const stalls = badTokens
    .filter(({ row }) => row === "J-11")
    .map(({ make }) => {
      const token = Secret.of(make({ verifier, ...stage }));
      return Math.min(
        ...Array.from({ length: stallTries }, () => {
          const began = performance.now();
          verifier.verify(token, signal).catch(() => undefined);
          return performance.now() - began;
        }),
      );
    });
  return rounded(Math.max(...stalls));
}
