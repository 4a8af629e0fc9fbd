import { ecKey, now, startIssuer } from "../../issuer.ts";
import { ManualClock } from "../../manual-clock.ts";
import { forged, goodKey, type KeyRow, openStage, outcome, verdict } from "./stage.ts";

/** 10,000 tokens in a minute, each with a kid that nobody has, while an honest job of the same issuer goes on. */
export const strangers: KeyRow = {
  id: "J-21d",
  name: "10,000 unknown kids: one fetch in 30 s at most, and other issuers are not asked at all",
  async run() {
    const clock = new ManualClock(now);
    await using stage = await openStage({ clock });
    await using other = await startIssuer(() => ({ keys: [ecKey("other").jwk] }));
    const bars: Record<string, boolean> = { "good before": (await stage.tried(goodKey)) === "accepted" };
    clock.advance(30_000);
    const before = stage.fetches();
    const outcomes = new Set<string>();
    const begun = performance.now();
    for (let step = 0; step < 100; step += 1) {
      const tokens = Array.from({ length: 100 }, (_, nth) => forged(stage.issuer.url, `k${step}-${nth}`));
      for (const answer of await Promise.all(tokens.map((token) => outcome(stage.verifier, token)))) outcomes.add(answer);
      if (step % 10 === 0)
        bars["good meanwhile"] = (await stage.tried(goodKey)) === "accepted" && bars["good meanwhile"] !== false;
      clock.advance(600);
    }
    const each = (performance.now() - begun) / 10_000;
    const fetches = stage.fetches() - before;
    bars["one fetch in 30 s at most"] = fetches <= 2;
    bars["each is refused"] = [...outcomes].join() === "token-signature";
    bars["other issuers are not asked"] = other.asked.size === 0;
    bars["a token of nobody's asks nobody"] = (await outcome(stage.verifier, forged(other.url, "k"))) === "token-issuer";
    return verdict(bars, { tokens: 10_000, fetches, inSeconds: 60, millisecondsEach: Number(each.toFixed(2)) });
  },
};
