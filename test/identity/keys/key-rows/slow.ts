import { systemClock } from "../../../../src/time.ts";
import { type Answer, discovery } from "../../issuer.ts";
import { drip, endlessInformation, flood, headerDrip, silence } from "../misbehaving.ts";
import { goodKey, type KeyRow, openStage, until, verdict } from "./stage.ts";

const slowly: Readonly<Record<string, readonly [path: string, answer: Answer]>> = {
  "a body, byte by byte": ["/jwks", drip()],
  "a header, byte by byte": ["/jwks", headerDrip()],
  "a discovery document, byte by byte": [discovery, drip()],
  "a header of discovery, byte by byte": [discovery, headerDrip()],
  "early hints for ever": ["/jwks", endlessInformation()],
  "nothing at all": ["/jwks", silence],
  "a body without end": ["/jwks", flood(Number.POSITIVE_INFINITY)],
};

/** In real time, from a caller's question to its answer, and until the server sees that we are gone. */
async function abandoned(
  path: string,
  answer: Answer,
): Promise<{ readonly outcome: string; readonly seconds: number; readonly gone: boolean }> {
  await using stage = await openStage({ clock: systemClock });
  let open = 0;
  stage.issuer.answers.set(path, (request, response) => {
    open += 1;
    request.socket.once("close", () => {
      open -= 1;
    });
    answer(request, response);
  });
  const begun = performance.now();
  const outcome = await stage.tried(goodKey);
  const seconds = (performance.now() - begun) / 1_000;
  return { outcome, seconds: Number(seconds.toFixed(2)), gone: await until(() => open === 0, 500) };
}

export const slow: KeyRow = {
  id: "J-21f",
  name: "drips of a body and of headers, silence and endless bodies are given up within 5 s",
  async run() {
    const results = await Promise.all(
      Object.entries(slowly).map(async ([name, [path, answer]]) => [name, await abandoned(path, answer)] as const),
    );
    return verdict(
      Object.fromEntries(
        results.flatMap(([name, { outcome, seconds, gone }]) => [
          [`${name}: within 5 s`, seconds <= 5],
          [`${name}: try later`, outcome === "issuer-unavailable"],
          [`${name}: the connection is closed`, gone],
        ]),
      ),
      { seconds: Object.fromEntries(results.map(([name, { seconds }]) => [name, seconds])) },
    );
  },
};
