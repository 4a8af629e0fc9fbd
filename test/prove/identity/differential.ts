import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seconds } from "../../identity/issuer.ts";
import { pick, type Random } from "./chance.ts";
import { type Verify, verifyWith } from "./mutated.ts";
import { oddToken } from "./odd.ts";
import { operators } from "./operators.ts";
import { type Found, say, type Trial } from "./part.ts";
import { sources, tokenOf } from "./sources.ts";

const tokens = { small: 2_000, full: 20_000 } as const;

/**
 * Good, mutated and odd tokens, read by ours and by a verifier in Go, with Go's own cryptography and JSON (`verifier/main.go`): it must
 * accept whatever ours accepts. Where it accepts what ours refuses, ours is stricter, and the reasons are counted.
 */
export async function differential(trial: Trial): Promise<Found> {
  const tried = Array.from({ length: tokens[trial.size] }, () => tokenFor(trial.random));
  const theirs = judgedByGo(tried);
  if (theirs === undefined)
    return { claim: "no second verifier, since this host has no Go", held: true, figures: { differential: 0 } };
  const count = { both: 0, neither: 0, oursAlone: 0, theirsAlone: 0 };
  const stricter: Record<string, number> = {};
  const wrong: string[] = [];
  const verify = verifyWith(trial.makeVerifier);
  for (const [nth, token] of tried.entries()) {
    const [ours, their] = [await judgedByUs(token, verify), theirs[nth] ?? "no answer"];
    const kind = kindOf(ours === "accepted", their === "accepted");
    count[kind] += 1;
    if (kind === "oursAlone") wrong.push(`${their}: ${token.slice(0, 2_000)}`);
    if (kind === "theirsAlone") stricter[ours] = (stricter[ours] ?? 0) + 1;
  }
  say(trial, "accepted by ours alone", wrong);
  const enough = tried.length / 20;
  return {
    claim: `${tried.length} tokens read by a verifier in Go too, ${count.oursAlone} accepted by ours and refused by it, ${count.theirsAlone} the other way`,
    held: count.oursAlone === 0 && theirs.length === tried.length && Math.min(count.both, count.neither) > enough,
    figures: {
      differential: tried.length,
      acceptedByBoth: count.both,
      refusedByBoth: count.neither,
      acceptedByOursAlone: count.oursAlone,
      acceptedByGoAlone: count.theirsAlone,
      ...Object.fromEntries(Object.entries(stricter).map(([why, times]) => [`stricter: ${why}`, times])),
    },
  };
}

function kindOf(ours: boolean, theirs: boolean): "both" | "neither" | "oursAlone" | "theirsAlone" {
  if (ours) return theirs ? "both" : "oursAlone";
  return theirs ? "theirsAlone" : "neither";
}

function tokenFor(random: Random): string {
  const source = pick(random, sources);
  const kind = random();
  if (kind < 0.15) return tokenOf(source);
  if (kind < 0.5)
    return pick(random, operators)[1]({ source, token: tokenOf(source), other: tokenOf(pick(random, sources)) }, random);
  return oddToken(source, random);
}

/** Ours in one word: `accepted`, or the detail that an operator reads. */
async function judgedByUs(token: string, verify: Verify): Promise<string> {
  let why = "";
  const identity = await verify(token, (error) => {
    why = `${error.code}${error.detail === undefined ? "" : `: ${error.detail.replace(/[0-9]+/g, "N")}`}`;
  });
  return identity === undefined ? why : "accepted";
}

/** Undefined where there is no Go. */
function judgedByGo(tried: readonly string[]): readonly string[] | undefined {
  if (spawnSync("go", ["version"]).status !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "mayfly-verifier-"));
  try {
    cpSync(new URL("verifier/main.go", import.meta.url), join(folder, "main.go"));
    writeFileSync(join(folder, "go.mod"), "module verifier\n\ngo 1.19\n");
    const env = { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOTOOLCHAIN: "local", CGO_ENABLED: "0" };
    execFileSync("go", ["build", "-o", "verifier", "."], { cwd: folder, env, stdio: "pipe" });
    const lines = [JSON.stringify(configuration()), ...tried.map((token) => Buffer.from(token).toString("base64url"))];
    const answer = execFileSync(join(folder, "verifier"), {
      input: `${lines.join("\n")}\n`,
      maxBuffer: 1 << 28,
      encoding: "utf8",
    });
    return answer.trimEnd().split("\n");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function configuration(): object {
  return {
    Now: seconds(0),
    Skew: 30,
    Issuers: sources.map(({ claims, key }) => ({
      Iss: claims()["iss"],
      Aud: [claims()["aud"]].flat()[0],
      Algorithms: [key.alg],
      Keys: [key.jwk],
    })),
  };
}
