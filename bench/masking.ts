import { createHash } from "node:crypto";
import { formsOf } from "../src/masking/forms.ts";
import { createMaskSet } from "../src/masking/mask-set.ts";
import { Secret } from "../src/secret.ts";
import type { Contender, Race } from "./bench.ts";

const block = 64 * 1024;
const issuers = ["ghp_", "glpat-", "npm_", "xoxb-", ""];

/** Ours against the way of most runners, each line searched for each secret in turn, and against no masking at all. */
export function bench(): readonly Race[] {
  return [1, 10, 100].map((count) => {
    const secrets = Array.from(
      { length: count },
      (_, nth) => `${issuers[nth % issuers.length]}${digest(`secret ${nth}`, "base64url").slice(0, 36)}`,
    );
    const forms = secrets.flatMap((secret) => formsOf(Buffer.from(secret)).map(({ bytes }) => bytes.toString("latin1")));
    return {
      name: `masking, ${count} ${count === 1 ? "secret" : "secrets"}, ${forms.length} forms`,
      boundary: "a log in memory, in 64 KiB blocks, to masked bytes in memory; one thread, CPU time",
      contenders: [
        ours(secrets, log(secrets, 16)),
        lineByLine("indexOf per line and form (the same coverage)", forms, log(secrets, count === 100 ? 1 : 4)),
        lineByLine("indexOf per line and plain secret (no other form)", secrets, log(secrets, 8)),
        copies(log(secrets, 16)),
      ],
    };
  });
}

function ours(secrets: readonly string[], blocks: readonly Buffer[]): Contender {
  const set = createMaskSet();
  set.add(secrets.map((secret) => Secret.of(secret)));
  return {
    name: "ours",
    run: () => {
      const masker = set.masker();
      for (const bytes of blocks) masker.write(bytes);
      masker.end();
      return sizeOf(blocks);
    },
  };
}

/** As GitHub's runner does it: a line, every value searched in it, the found ranges replaced. */
function lineByLine(name: string, values: readonly string[], blocks: readonly Buffer[]): Contender {
  const hideIn = (line: string) =>
    values.reduce((text, value) => (text.includes(value) ? text.replaceAll(value, "***") : text), line);
  return {
    name,
    run: () => {
      for (const bytes of blocks) Buffer.from(bytes.toString("latin1").split("\n").map(hideIn).join("\n"), "latin1");
      return sizeOf(blocks);
    },
  };
}

function copies(blocks: readonly Buffer[]): Contender {
  return {
    name: "a copy of each block (nothing masked)",
    run: () => {
      for (const bytes of blocks) Buffer.from(bytes);
      return sizeOf(blocks);
    },
  };
}

function sizeOf(blocks: readonly Buffer[]): number {
  return blocks.length * block;
}

/** Lines such as builds print, one secret in each megabyte, cut into blocks wherever they end. */
function log(secrets: readonly string[], megabytes: number): readonly Buffer[] {
  const lines: string[] = [];
  for (let nth = 0, size = 0; size < megabytes * 2 ** 20; nth++) {
    const line = nth % 11_000 === 5_000 ? `token=${secrets[nth % secrets.length]}` : (kinds[nth % kinds.length]?.(nth) ?? "");
    lines.push(line);
    size += line.length + 1;
  }
  const bytes = Buffer.from(lines.join("\n"));
  return Array.from({ length: Math.floor(bytes.length / block) }, (_, nth) => bytes.subarray(nth * block, (nth + 1) * block));
}

const kinds: readonly ((nth: number) => string)[] = [
  (nth) =>
    `npm http fetch GET 200 https://registry.example/pkg-${nth}/-/pkg-${nth}-1.${nth % 40}.0.tgz ${nth % 900}ms (cache hit)`,
  (nth) => `gcc -O2 -Wall -Iinclude -c src/module_${nth}.c -o build/module_${nth}.o`,
  (nth) => `\u001b[32m  ✓\u001b[39m parses the ${nth}th case (${nth % 70} ms)`,
  (nth) => `${digest(String(nth))}  dist/chunk-${nth}.js`,
  (nth) => `{"level":"info","time":${1_700_000_000_000 + nth},"msg":"request completed","status":200,"ms":${nth % 300}}`,
  (nth) => `Step ${nth % 30}/30 : RUN apt-get install -y --no-install-recommends lib${nth}-dev`,
];

function digest(text: string, encoding: "hex" | "base64url" = "hex"): string {
  return createHash("sha256").update(text).digest(encoding);
}
