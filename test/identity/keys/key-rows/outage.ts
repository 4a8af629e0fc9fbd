import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Fetch, issuerFetch } from "../../../../src/identity/keys/network.ts";
import { discovery, json, now, type TestIssuer } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { down, silence } from "../misbehaving.ts";
import { changesOf, forged, goodKey, type KeyRow, minute, openStage, outcome, until, verdict } from "./stage.ts";

/** A thousand requests in 100 s, ten at once, to an issuer that was never there. */
async function cold(
  issuer: TestIssuer | undefined,
): Promise<{ readonly outcomes: Set<string>; readonly seen: readonly number[] }> {
  const clock = new ManualClock(now);
  const seen: number[] = [];
  const fetch: Fetch = (url, options) => {
    seen.push(clock.monotonic() / 1_000);
    return issuerFetch(url, options);
  };
  await using stage = await openStage({ clock, fetch, ...(issuer === undefined ? {} : { issuer }) });
  stage.issuer.answers.set(discovery, down);
  const outcomes = new Set<string>();
  for (let round = 0; round < 100; round += 1) {
    const answers = Array.from({ length: 10 }, () => outcome(stage.verifier, forged(stage.issuer.url, goodKey.kid)));
    for (const answer of await Promise.all(answers)) outcomes.add(answer);
    clock.advance(1_000);
  }
  return { outcomes, seen };
}

/** A port that nobody listens on. */
async function nobody(): Promise<TestIssuer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise((resolve) => server.close(resolve));
  return { url, asked: new Map(), answers: new Map(), [Symbol.asyncDispose]: () => Promise.resolve() };
}

function rarely(seen: readonly number[]): boolean {
  return seen.every((moment, index) => index === 0 || moment - (seen[index - 1] ?? 0) >= 5);
}

export const coldOutage: KeyRow = {
  id: "J-21b",
  name: "an outage from cold: one fetch in 5 s at most, and every request is told to try later",
  async run() {
    const answering = await cold(undefined);
    const refusing = await cold(await nobody());
    const all = [answering, refusing];
    return verdict(
      {
        "every request is told to try later": all.every(({ outcomes }) => [...outcomes].join() === "issuer-unavailable"),
        "one fetch in 5 s at most": all.every(({ seen }) => rarely(seen)),
        "backs off to 30 s": all.every(({ seen }) => seen.join() === "0,5,15,35,65,95"),
      },
      { requests: 2_000, fetches: answering.seen.length + refusing.seen.length, atSeconds: answering.seen },
    );
  },
};

export const warmOutage: KeyRow = {
  id: "J-21c",
  name: "an outage when warm: known keys work for an hour, then nothing does; recorded once, after the second failure",
  async run() {
    const clock = new ManualClock(now);
    await using stage = await openStage({ clock });
    const bars: Record<string, boolean> = { "good before": (await stage.tried(goodKey)) === "accepted" };
    stage.issuer.answers.set(discovery, down);
    clock.advance(6 * minute);
    bars["good while away"] = (await stage.tried(goodKey)) === "accepted";
    bars["nothing said after one failure"] = changesOf(stage.records) === "first good";
    clock.advance(minute);
    bars["still good"] = (await stage.tried(goodKey)) === "accepted";
    bars["said after two"] = await until(() => changesOf(stage.records) === "first good, unreachable");
    bars["an unknown kid may be new"] =
      (await outcome(stage.verifier, forged(stage.issuer.url, "new"))) === "issuer-unavailable";
    stage.issuer.answers.set(discovery, silence);
    const begun = performance.now();
    for (let round = 0; round < 53; round += 1) {
      clock.advance(minute);
      bars["good for an hour"] = (await stage.tried(goodKey)) === "accepted" && bars["good for an hour"] !== false;
    }
    const slowest = (performance.now() - begun) / 53;
    bars["nobody waits for an issuer that is away"] = slowest < 100;
    clock.advance(1);
    const asked = stage.tried(goodKey);
    await until(() => stage.readiness().keys === "unavailable");
    clock.advance(5_000);
    bars["denied after an hour"] = (await asked) === "issuer-unavailable";
    stage.issuer.answers.set(
      discovery,
      json(() => ({ issuer: stage.issuer.url, jwks_uri: `${stage.issuer.url}/jwks` })),
    );
    clock.advance(30_000);
    bars["good when it is back"] = (await stage.tried(goodKey)) === "accepted";
    bars["recorded once each"] = changesOf(stage.records) === "first good, unreachable, reachable";
    return verdict(bars, { keptMinutes: 60, millisecondsEach: Math.round(slowest), recorded: changesOf(stage.records) });
  },
};
