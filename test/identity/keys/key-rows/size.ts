import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Answer, discovery, json, startIssuer } from "../../issuer.ts";
import { falseLength, flood, floodOfInformation, gzipBomb, manyKeys, tinyChunks } from "../misbehaving.ts";
import { goodKey, type KeyRow, verdict } from "./stage.ts";

const mebibyte = 1024 * 1024;
const good = { keys: [goodKey.jwk], padding: "a".repeat(200 * 1024) };

/** Of what comes beside a body, this much may be on its way before its server sees that nobody reads any more. */
const mostOnItsWay = 32 * mebibyte;
let left = 0;
const leaves = (bytes: number): void => {
  left += bytes;
};

const bodies: Readonly<Record<string, readonly [path: string, answer: Answer, why: string, most?: number]>> = {
  "256 MB": ["/jwks", flood(256 * mebibyte), "longer than 262144 bytes"],
  "256 MB of discovery": [discovery, flood(256 * mebibyte), "longer than 262144 bytes"],
  "200,000 keys": ["/jwks", manyKeys(200_000, goodKey.jwk), "longer than 262144 bytes"],
  "101 keys": ["/jwks", manyKeys(101, goodKey.jwk), "more than 100 keys"],
  "gzip bomb": ["/jwks", gzipBomb, "compressed"],
  "a length that promises 256 MB": ["/jwks", falseLength(256 * mebibyte, "{"), "longer than 262144 bytes"],
  "early hints without end": [
    "/jwks",
    floodOfInformation("HTTP/1.1 103 Early Hints", leaves),
    "the answer does not begin",
    // Node makes two thousand objects of the first 64 KiB that it reads, before anybody is asked.
    8,
  ],
  "early hints of discovery without end": [
    discovery,
    floodOfInformation("HTTP/1.1 103 Early Hints", leaves),
    "the answer does not begin",
    8,
  ],
  "permission to go on without end": [
    "/jwks",
    floodOfInformation("HTTP/1.1 100 Continue", leaves),
    "the answer does not begin",
  ],
  "large early hints without end": [
    "/jwks",
    floodOfInformation(`HTTP/1.1 103 Early Hints\r\nlink: ${"a".repeat(8_000)}`, leaves),
    "the answer does not begin",
  ],
  "a body that is nearly all frames": ["/jwks", tinyChunks(leaves), "too many pieces"],
  "a length of 10 for more": ["/jwks", falseLength(10, JSON.stringify(good)), "strict JSON"],
  "a length of 100,000 for less": [
    "/jwks",
    falseLength(100_000, JSON.stringify({ keys: [goodKey.jwk] })),
    "no answer could be read",
  ],
};

const toldSchema = z.object({
  grewBy: z.number(),
  keys: z.string(),
  kids: z.array(z.string()),
  trouble: z.string().optional(),
});

async function heard(reader: ChildProcess): Promise<unknown> {
  const [message]: unknown[] = await once(reader, "message", { signal: AbortSignal.timeout(30_000) });
  return message;
}

/** The reader is a process of its own, so that what the servers hold does not count. */
export const size: KeyRow = {
  id: "J-21a",
  name: "256 MB, 200,000 keys, a gzip bomb, false lengths and endless hints are cut, and the old keys stay",
  async run() {
    await using issuer = await startIssuer(() => good);
    const reader = fork(fileURLToPath(new URL("./reader.ts", import.meta.url)), [issuer.url], { execArgv: [] });
    try {
      await heard(reader);
      const bars: Record<string, boolean> = {};
      const grewBy: Record<string, number> = {};
      for (const [name, [path, answer, why, most = 5]] of Object.entries(bodies)) {
        const usual = issuer.answers.get(path) ?? json(() => good);
        issuer.answers.set(path, answer);
        left = 0;
        const begun = performance.now();
        reader.send("read");
        const told = toldSchema.parse(await heard(reader));
        bars[`${name}: given up at once`] = performance.now() - begun < 2_000;
        bars[`${name}: at most 32 MB of frames and hints left the server`] = left <= mostOnItsWay;
        issuer.answers.set(path, usual);
        grewBy[name] = Math.round(told.grewBy / 1024);
        bars[`${name}: at most ${most} MB more`] = told.grewBy <= most * mebibyte;
        bars[`${name}: ${told.trouble ?? "no trouble"}`] = told.trouble?.includes(why) === true;
        bars[`${name}: the old keys stay`] = told.keys === "stale" && told.kids.join() === goodKey.kid;
      }
      return verdict(bars, { bodies: Object.keys(bodies).length, peakGrewByKiB: grewBy });
    } finally {
      reader.kill();
    }
  },
};
