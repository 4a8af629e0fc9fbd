import { globSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createVerifier } from "../../../src/identity/verify.ts";
import { Secret } from "../../../src/secret.ts";
import { type Calling, type Host, type Spoken, users } from "../../flow/world.ts";
import { cgroupTrees, HostCgroup } from "../../host-cgroup.ts";
import { githubToken } from "../../identity/bad-tokens/makers.ts";
import { enterpriseToken } from "../../identity/bad-tokens/meaning.ts";
import { openStage } from "../../identity/bad-tokens/stage.ts";
import { type Brokers, entriesOf, socketOf } from "./brokers.ts";
import { type Found, say, type Trial } from "./part.ts";
import { Runner } from "./runners.ts";

const atOnce = 50;

interface Tally {
  presentations: number;
  accepted: number;
  /** What must have been accepted. */
  wanted: number;
  readonly wrong: string[];
}

/** One token, many times: at once, after kill -9, at another broker, by others. However it is tried, it opens one session. */
export async function replay(trial: Trial, brokers: Brokers): Promise<Found> {
  await using runner = new Runner(users.runner);
  const tally: Tally = { presentations: 0, accepted: 0, wanted: 0, wrong: [] };
  const before = await sessionsOf(brokers);
  await atOneBroker(brokers, runner, tally);
  await afterKill(trial, brokers, runner, tally);
  await atTwoBrokers(brokers, runner, tally);
  const steps = await fixedToken(brokers.one, tally);
  await twoIssuers(tally);
  const opened = (await sessionsOf(brokers)) - before;
  if (opened !== tally.wanted + steps.sessions)
    tally.wrong.push(`${opened} sessions are on record, ${tally.wanted + steps.sessions} were opened`);
  say(trial, "replay", tally.wrong);
  return {
    claim: `${tally.presentations} presentations of ${tally.wanted} tokens to real brokers, ${atOnce} at once, after kill -9 and at two on one PostgreSQL, opened ${tally.accepted} sessions; ${steps.ran} of ${steps.wanted} steps of jobs with one fixed token ran, ${steps.refused} of ${steps.strangers} replays by others refused`,
    held:
      tally.wrong.length === 0 &&
      tally.accepted === tally.wanted &&
      steps.ran === steps.wanted &&
      steps.refused === steps.strangers,
    figures: {
      presentations: tally.presentations,
      tokensPresented: tally.wanted,
      sessionsOpened: tally.accepted,
      steps: steps.ran,
      replaysByOthers: steps.strangers,
      replaysByOthersRefused: steps.refused,
    },
  };
}

async function sessionsOf({ one, other }: Brokers): Promise<number> {
  return (await entriesOf(one, "session-opened")).length + (await entriesOf(other, "session-opened")).length;
}

/** Presents a token to these brokers by turns, all at once; `wanted` of them may open a session. */
async function present(
  token: string,
  hosts: readonly Host[],
  runner: Runner,
  { tally, wanted, what }: { readonly tally: Tally; readonly wanted: 0 | 1; readonly what: string },
): Promise<void> {
  const presentations = Array.from({ length: atOnce }, (_, nth) => ({
    socket: socketOf(hosts[nth % hosts.length] as Host),
    token,
  }));
  const outcomes = await runner.obey({ kind: "present", presentations });
  const accepted = outcomes.filter((outcome) => outcome === "accepted").length;
  const others = new Set(outcomes.filter((outcome) => outcome !== "accepted"));
  tally.presentations += outcomes.length;
  tally.accepted += accepted;
  tally.wanted += wanted;
  if (accepted !== wanted) tally.wrong.push(`${what}: ${accepted} sessions, not ${wanted}`);
  if (others.size !== 1 || !others.has("token-spent")) tally.wrong.push(`${what}: refused as ${[...others].join(", ")}`);
}

async function atOneBroker({ one }: Brokers, runner: Runner, tally: Tally): Promise<void> {
  const token = await one.token();
  await present(token, [one], runner, { tally, wanted: 1, what: "at once" });
  await present(token, [one], runner, { tally, wanted: 0, what: "once more" });
}

async function afterKill({ sabotage }: Trial, { one, other, upstreams }: Brokers, runner: Runner, tally: Tally): Promise<void> {
  const token = await one.token();
  await present(token, [one], runner, { tally, wanted: 1, what: "before the kill" });
  one.broker.kill("serve");
  await one.broker.ended;
  if (sabotage === "forgets-spent-tokens") {
    for (const file of globSync(join(one.state, "ledger.db*"))) rmSync(file);
    await upstreams.postgres.sql("truncate mayfly.spent_token");
  }
  await present(token, [other], runner, { tally, wanted: 0, what: "at another broker while its own is dead" });
  await one.start();
  await present(token, [one], runner, { tally, wanted: 0, what: "after kill -9" });
}

async function atTwoBrokers({ one, other }: Brokers, runner: Runner, tally: Tally): Promise<void> {
  const [first, second] = [await one.token(), await one.token()];
  await present(first, [one, other], runner, { tally, wanted: 1, what: "at both at once" });
  await present(second, [other], runner, { tally, wanted: 1, what: "at the other" });
  await present(second, [one, other], runner, { tally, wanted: 0, what: "at both, spent" });
}

interface Steps {
  readonly sessions: number;
  readonly ran: number;
  readonly wanted: number;
  readonly refused: number;
  readonly strangers: number;
}

/** A job whose CI system gives it one token, as GitLab does: its session's handle runs every step, and is of use to nobody else. */
async function fixedToken(host: Host, tally: Tally): Promise<Steps> {
  await using stack = new AsyncDisposableStack();
  const [runner, neighbour] = runnersOn(stack);
  const [workspace, token] = [host.workspace(), await host.token()];
  const handle = join(workspace, "handle");
  const session = (how: Calling, file: readonly string[] = []): Promise<Spoken> =>
    host.asRunner(["session", "start", "--token", host.give(token, how.uid), ...file], { cwd: workspace, ...how });
  const step = (how: Calling, from = handle): Promise<Spoken> =>
    host.asRunner(["run", "--session", `@${from}`, "--template", "local", "--", "true"], { cwd: workspace, ...how });
  const opened = await session(runner, ["--handle-file", handle]);
  if (opened.code !== 0) tally.wrong.push(`no session for a fixed token: ${opened.stderr}`);
  const steps = [await step(runner), await step(runner)];
  for (const { code, stderr } of steps) if (code !== 0) tally.wrong.push(`a step of a fixed token: ${stderr}`);
  const stolen = host.give(readFileSync(handle, "utf8"), users.stranger);
  const spent = "already opened a session";
  const foreign = "belongs to another user or runner";
  const others: readonly Attempt[] = [
    { what: "the token again, without the handle", by: () => session(runner), sentence: spent },
    { what: "the token, from another uid", by: () => session({ uid: users.stranger }), sentence: spent },
    { what: "the handle, from another uid", by: () => step({ uid: users.stranger }, stolen), sentence: foreign },
    ...(neighbour === undefined
      ? []
      : [{ what: "the handle, from another runner of the same uid", by: () => step(neighbour), sentence: foreign }]),
  ];
  const refused = await refusedOf(others, tally);
  return {
    sessions: 1,
    ran: steps.filter(({ code }) => code === 0).length,
    wanted: steps.length,
    refused,
    strangers: others.length,
  };
}

interface Attempt {
  readonly what: string;
  readonly by: () => Promise<Spoken>;
  readonly sentence: string;
}

/** Two runners of one user, where this host tells them apart. */
function runnersOn(stack: AsyncDisposableStack): readonly [Calling, Calling | undefined] {
  const [tree] = cgroupTrees;
  if (tree === undefined) return [{}, undefined];
  const [one, other] = ["one", "other"].map((name) => ({ inside: stack.use(new HostCgroup(tree, `prove-${name}`)) }));
  return [one ?? {}, other];
}

async function refusedOf(attempts: readonly Attempt[], tally: Tally): Promise<number> {
  let refused = 0;
  for (const { what, by, sentence } of attempts) {
    const { code, stderr } = await by();
    if (code !== 0 && stderr.includes(sentence)) refused += 1;
    else tally.wrong.push(`${what}: ${code} ${stderr}`);
  }
  return refused;
}

/** The same jti from two issuers is two tokens. */
async function twoIssuers(tally: Tally): Promise<void> {
  await using stage = await openStage(createVerifier);
  const keyOf = async (token: string): Promise<string> =>
    (await stage.verifier.verify(Secret.of(token), AbortSignal.timeout(10_000))).token.key;
  if ((await keyOf(githubToken({ jti: "same" }))) === (await keyOf(enterpriseToken({ jti: "same" }))))
    tally.wrong.push("two issuers' tokens with one jti are taken for one");
}
