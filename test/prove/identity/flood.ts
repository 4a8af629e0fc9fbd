import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { audience, job, users } from "../../flow/world.ts";
import { type Brokers, entriesOf, sizeOf, socketOf } from "./brokers.ts";
import { type Found, say, type Trial } from "./part.ts";
import type { Timed } from "./runner.ts";
import { Runner } from "./runners.ts";

/** 100,000 a minute. */
const perSecond = 1_667;
const connections = 100;
/** Seconds with the flood, after as many without it, by turns. */
const phases = { small: [5, 5], full: [15, 15, 15, 15] } as const;
const everyMilliseconds = 50;
/** What one peer's refusals may write within a minute: those in full, and what counts the others. */
const entriesAMinute = 62;
/** Milliseconds: the p99 of a good caller. The small size runs beside whatever else a busy machine does. */
const longestWait = { small: 2_000, full: 1_000 } as const;

/**
 * A process that does nothing but present bad tokens, while good callers go on: one of the same user, on a connection of its own, and one of
 * another. Their answers with the flood are compared with those without it, by turns. The flood, the callers, the broker and whatever else
 * this machine does share its cores, so the times are told and only their order of magnitude is a bar.
 */
export async function flood(trial: Trial, { one, upstreams }: Brokers): Promise<Found> {
  await using stack = new AsyncDisposableStack();
  const flooder = stack.use(new Runner(users.runner));
  const callers = {
    "another user": stack.use(new Runner(users.stranger)),
    "the same user": stack.use(new Runner(users.runner)),
  };
  const socket = socketOf(one);
  const spans: readonly number[] = phases[trial.size];
  const each = Math.ceil((sum(spans) * 2 * 1_000) / everyMilliseconds);
  const good = await tokensOf(upstreams.issuer, each * 2);
  const before = { size: await sizeOf(one), cpu: cpuOf(one.broker.pid), at: Date.now() };
  const going = Object.values(callers).map((caller, nth) =>
    caller.obey({ kind: "steady", socket, tokens: good.slice(nth * each, (nth + 1) * each), everyMilliseconds }),
  );
  const outcomes: Record<string, number> = {};
  const flooded: [from: number, to: number][] = [];
  for (const seconds of spans) {
    await sleep(seconds * 1_000);
    const from = Date.now();
    const answered = await flooder.obey({
      kind: "flood",
      socket,
      tokens: badOf(good[0] ?? ""),
      connections,
      perSecond,
      seconds,
    });
    flooded.push([from, Date.now()]);
    for (const [outcome, times] of Object.entries({ ...answered.outcomes, unsent: answered.unsent }))
      outcomes[outcome] = (outcomes[outcome] ?? 0) + times;
  }
  const timed = await Promise.all(going);
  const calls = timed.flat();
  const { wronglyAccepted, unsent, keptOut, refused } = sorted(outcomes);
  const refusals = sum(Object.values(refused));
  const accepted = calls.filter(({ outcome }) => outcome === "accepted").length;
  const cpu = cpuOf(one.broker.pid) - before.cpu;
  const grown = (await sizeOf(one)) - before.size - accepted;
  const minutes = Math.ceil((Date.now() - before.at) / 60_000) + 1;
  const latencies = Object.keys(callers).map((who, nth) => ({ who, ...compared(timed[nth] ?? [], flooded) }));
  const aMinute = Math.round((refusals / sum(flooded.map(([from, to]) => to - from))) * 60_000);
  const wrong = [
    ...(wronglyAccepted === 0 ? [] : ["a bad token was accepted"]),
    ...(accepted === calls.length ? [] : [`${calls.length - accepted} good calls were refused`]),
    ...(grown <= entriesAMinute * minutes ? [] : [`the ledger grew by ${grown} entries`]),
    ...latencies
      .filter(({ during }) => during.p99 > longestWait[trial.size])
      .map(({ who, during }) => `${who} waited ${during.p99} ms`),
  ];
  say(trial, "flood", wrong);
  const inWords = ({ who, calm, during }: (typeof latencies)[number]): string =>
    `${who} ${during.p50}/${during.p99} ms (${calm.p50}/${calm.p99} without)`;
  return {
    claim: `of 100,000 bad tokens a minute offered, ${aMinute.toLocaleString("en-US")} were refused by word and the rest kept out, the ledger grew by ${grown} entries, good callers' p50/p99 meanwhile: ${latencies.map(inWords).join(", ")}`,
    held: wrong.length === 0,
    figures: {
      floodOffered: refusals + keptOut + unsent,
      floodKeptOut: keptOut,
      floodRefusals: refusals,
      floodRefusalsAMinute: aMinute,
      floodLedgerEntries: grown,
      floodCountedEntries: (await entriesOf(one, "denials-counted")).length,
      brokerCpuMillisecondsPerCall: Math.round((cpu / (refusals + accepted)) * 100) / 100,
      goodCalls: calls.length,
      goodCallsAccepted: accepted,
      ...Object.assign({}, ...latencies.map(figuresOf)),
      ...Object.fromEntries(Object.entries(outcomes).map(([outcome, times]) => [`flood, ${outcome}`, times])),
    },
    bad: refusals + wronglyAccepted,
    accepted: wronglyAccepted,
    controls: calls.length,
    controlsAccepted: accepted,
  };
}

/** Whoever presses on finds the door shut: what it offers then costs the broker a connection that it closes unread. */
function sorted(outcomes: Readonly<Record<string, number>>) {
  const { accepted = 0, unsent = 0, "broker-unreachable": shut = 0, cancelled = 0, ...refused } = outcomes;
  return { wronglyAccepted: accepted, unsent, keptOut: shut + cancelled, refused };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((so, number) => so + number, 0);

async function tokensOf(issuer: Brokers["upstreams"]["issuer"], count: number): Promise<readonly string[]> {
  const tokens: string[] = [];
  for (let nth = 0; nth < count; nth++) tokens.push(await issuer.token({ ...job, jti: crypto.randomUUID() }, { audience }));
  return tokens;
}

/** Refused at different places; the dearest, whose signature does not hold, twice as often. */
function badOf(good: string): readonly string[] {
  const [header = "", payload = "", signature = ""] = good.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
  const spelled = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const changed = [header, spelled({ ...claims, ref: "refs/heads/evil" }), signature].join(".");
  const stranger = [header, spelled({ ...claims, iss: "https://evil.example" }), signature].join(".");
  const unsigned = [spelled({ alg: "none", kid: "k" }), payload, signature].join(".");
  return [changed, changed, stranger, unsigned, "garbage"];
}

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

function compared(
  timed: readonly Timed[],
  flooded: readonly (readonly [number, number])[],
): { readonly calm: Latency; readonly during: Latency } {
  const isDuring = ({ at }: Timed): boolean => flooded.some(([from, to]) => at >= from && at <= to);
  const latency = (some: readonly Timed[]): Latency => ({ p50: quantile(some, 0.5), p99: quantile(some, 0.99) });
  // The first calls also open the connection and load the issuer's keys.
  return { calm: latency(timed.filter((one) => !isDuring(one)).slice(10)), during: latency(timed.filter(isDuring)) };
}

function quantile(timed: readonly Timed[], share: number): number {
  const sorted = timed.map(({ took }) => took).toSorted((a, b) => a - b);
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;
}

function figuresOf({ who, calm, during }: { readonly who: string; readonly calm: Latency; readonly during: Latency }): object {
  return {
    [`good call of ${who}, without flood, p50 ms`]: calm.p50,
    [`good call of ${who}, without flood, p99 ms`]: calm.p99,
    [`good call of ${who}, with flood, p50 ms`]: during.p50,
    [`good call of ${who}, with flood, p99 ms`]: during.p99,
  };
}

/** Milliseconds of CPU that a process has had, by the kernel's hundredths of a second. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
