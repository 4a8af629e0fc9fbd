import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type Answer, discovery, json, startIssuer } from "../../issuer.ts";
import { falseLength, flood, gzipBomb, manyKeys } from "../misbehaving.ts";
import { goodKey, type KeyRow, verdict } from "./stage.ts";

const mebibyte = 1024 * 1024;
const good = { keys: [goodKey.jwk], padding: "a".repeat(200 * 1024) };

const bodies: Readonly<Record<string, readonly [path: string, answer: Answer, why: string]>> = {
  "256 MB": ["/jwks", flood(256 * mebibyte), "longer than 262144 bytes"],
  "256 MB of discovery": [discovery, flood(256 * mebibyte), "longer than 262144 bytes"],
  "200,000 keys": ["/jwks", manyKeys(200_000, goodKey.jwk), "longer than 262144 bytes"],
  "101 keys": ["/jwks", manyKeys(101, goodKey.jwk), "more than 100 keys"],
  "gzip bomb": ["/jwks", gzipBomb, "compressed"],
  "a length that promises 256 MB": ["/jwks", falseLength(256 * mebibyte, "{"), "longer than 262144 bytes"],
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
  name: "256 MB, 200,000 keys, a gzip bomb and false lengths are cut, and the old keys stay",
  async run() {
    await using issuer = await startIssuer(() => good);
    const reader = fork(fileURLToPath(new URL("./reader.ts", import.meta.url)), [issuer.url], { execArgv: [] });
    try {
      await heard(reader);
      const bars: Record<string, boolean> = {};
      const grewBy: Record<string, number> = {};
      for (const [name, [path, answer, why]] of Object.entries(bodies)) {
        const usual = issuer.answers.get(path) ?? json(() => good);
        issuer.answers.set(path, answer);
        reader.send("read");
        const told = toldSchema.parse(await heard(reader));
        issuer.answers.set(path, usual);
        grewBy[name] = Math.round(told.grewBy / 1024);
        bars[`${name}: at most 5 MB more`] = told.grewBy <= 5 * mebibyte;
        bars[`${name}: ${told.trouble ?? "no trouble"}`] = told.trouble?.includes(why) === true;
        bars[`${name}: the old keys stay`] = told.keys === "stale" && told.kids.join() === goodKey.kid;
      }
      return verdict(bars, { bodies: Object.keys(bodies).length, peakGrewByKiB: grewBy });
    } finally {
      reader.kill();
    }
  },
};
