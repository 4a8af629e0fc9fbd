import { join, resolve } from "node:path";
import { Command } from "commander";
import { createTwoFilesPatch } from "diff";
import { AuditService } from "../api/gen/mayfly/v1/audit_pb.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { BrokerError } from "../errors.ts";
import { compileTemplates } from "../policy/language/compile.ts";
import type { TemplateSource } from "../policy/language/document.ts";
import { meant } from "../policy/language/nearest.ts";
import { sourcesOf } from "../policy/language/sources.ts";
import type { Policy, Template } from "../policy/policy.ts";
import { policyInvalid } from "../policy/problem.ts";
import { Replay } from "../policy/replay/replay.ts";
import { decideAgain } from "../policy/replay/request.ts";
import type { Rooms } from "../policy/rooms.ts";
import { edited, valueAt } from "../policy/suggest/edit.ts";
import { suggest } from "../policy/suggest/suggest.ts";
import type { Point } from "../policy/suggest/suggestion.ts";
import { usageOf } from "../policy/suggest/usage.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Isolation } from "../sandbox/sandbox.ts";
import { progressOn, spanOf } from "./check-replay.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { jsonFlag, reach, socketFlag } from "./reach.ts";
import type { AuditClient } from "./recorded.ts";
import { firstOf } from "./recorded-policies.ts";
import { newTally, recordedRequests } from "./requests.ts";
import { recordedRuns } from "./runs.ts";
import { type Suggested, suggestedJson, suggestedLines } from "./suggest-text.ts";
import { configFlag, configFrom, readTemplates, roomsFrom, type TemplateFlags } from "./templates.ts";

interface SuggestFlags extends TemplateFlags {
  readonly since: string;
  readonly templates?: string;
  readonly json?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly suggest deploy --since 14d
  $ mayfly suggest shop/release --since 30d --templates templates > narrower.diff
  $ mayfly suggest deploy --json | jq '.points[] | select(.after)'`;

export function suggestCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("suggest")
    .summary("a narrower template, from what its runs used")
    .description(
      "Reads the runs of a template from the ledger (audit.sock) and prints, as a unified diff for its folder, the least lives, limits and hosts that would have done; what each line rests on is said above it on lines that patch(1) skips. Only runs that ended well, of identities that the CI system vouches for, count; what was contained never does. Nothing is changed by this.",
    )
    .argument("<template>", "its name")
    .option("--since <span>", "how far back to look, such as 14d", "14d")
    .option("--templates <folder>", "the templates (default: MAYFLY_TEMPLATES, else what mayfly.yaml names)")
    .option(...configFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((template: string, flags: SuggestFlags) => suggestFor(io, types, template, flags));
}

interface Site {
  readonly policy: Policy<Delivery, Isolation>;
  readonly rooms: Rooms<Delivery, Isolation>;
  readonly sources: readonly TemplateSource[];
}

async function suggestFor(io: Io, types: LoadCatalogue, name: string, flags: SuggestFlags): Promise<void> {
  const since = io.clock.now() - spanOf(flags.since);
  const config = configFrom(io, flags);
  const folder = flags.templates === undefined ? config.templates : resolve(io.cwd, flags.templates);
  const compiled = await readTemplates(io, types, { config, folder });
  if (compiled.kind === "problems") throw policyInvalid(compiled.problems);
  const { policy } = compiled;
  const site = { policy, rooms: await roomsFrom(io, types, config), sources: sourcesOf(policy.text) };
  const subject = subjectOf(site, name);
  using client = reach(io, AuditService, "audit", flags);
  const heed = progressOn(io);
  const { runs, contained } = await recordedRuns(client.call, { since, templates: subject.names, heed });
  const usage = usageOf(runs, contained);
  const { text } = subject.source;
  const points = suggest({ text, templates: subject.templates, usage, limits: ({ timeout, memory }) => ({ timeout, memory }) });
  const fitting = fit(site, subject.source, points);
  const counted = new Set(usage.counted.map(({ run }) => run));
  const kept =
    fitting.policy === undefined ? undefined : await stillGranted(client.call, { site, next: fitting.policy, since, counted });
  const { file } = subject.source;
  const diff = fitting.text === text ? "" : createTwoFilesPatch(`a/${file}`, `b/${file}`, text, fitting.text, "", "");
  const suggested = { name, file: join(folder, file), since, span: flags.since, usage, points: fitting.points, diff, kept };
  if (flags.json === true) printJson(io, suggestedJson(suggested));
  else print(io, ...suggestedLines(suggested));
}

interface Found {
  readonly source: TemplateSource;
  readonly templates: readonly Template<Delivery, Isolation>[];
  /** Whose runs tell of it: what its file became, and what extends it. */
  readonly names: ReadonlySet<string>;
}

/** By the name in the file, or by that of an entry of its `for_each`. */
function subjectOf({ policy, sources }: Site, name: string): Found {
  const all = [...policy.templates.values()];
  const source =
    sources.find(({ text }) => valueAt(text, ["template"]) === name) ??
    sources.find(({ file }) => file === policy.templates.get(name)?.file);
  if (source === undefined) {
    const names = [...sources.map(({ text }) => valueAt(text, ["template"])), ...policy.templates.keys()];
    throw new BrokerError("usage", `no template is called ${JSON.stringify(name.slice(0, 128))}`, {
      hint: meant(name, [...new Set(names.filter((one) => typeof one === "string"))]),
    });
  }
  const written = valueAt(source.text, ["template"]);
  const extending = sources.filter(({ text }) => valueAt(text, ["extends"]) === written).map(({ file }) => file);
  const own = all.filter(({ file }) => file === source.file);
  const within = all.filter(({ file }) => extending.includes(file));
  return {
    source,
    templates: own.length > 0 ? own : within,
    names: new Set([...own, ...within].map((template) => template.name)),
  };
}

interface Fitting {
  readonly text: string;
  readonly points: readonly Point[];
  /** Undefined where nothing changes. */
  readonly policy: Policy<Delivery, Isolation> | undefined;
}

/** What does not compile is left out of the diff one by one, and said. */
function fit(site: Site, source: TemplateSource, points: readonly Point[]): Fitting {
  const compiled = (text: string) =>
    compileTemplates(
      site.sources.map((one) => (one.file === source.file ? { ...one, text } : one)),
      site.rooms,
    );
  const textOf = (chosen: readonly Point[]): string =>
    edited(
      source.text,
      chosen.flatMap(({ edits = [] }) => edits),
    );
  const whole = compiled(textOf(points));
  if (whole.kind === "policy") return { text: textOf(points), points, policy: changes(points) ? whole.policy : undefined };
  const fits: Point[] = [];
  for (const point of points) {
    const one = compiled(textOf([...fits, point]));
    fits.push(one.kind === "policy" ? point : unfit(point, firstOf(one.problems)));
  }
  const last = compiled(textOf(fits));
  return { text: textOf(fits), points: fits, policy: last.kind === "policy" && changes(fits) ? last.policy : undefined };
}

function changes(points: readonly Point[]): boolean {
  return points.some(({ edits = [] }) => edits.length > 0);
}

function unfit({ key, evidence }: Point, problem: string): Point {
  return { key, evidence: `${evidence}; a narrower one would not load: ${problem}` };
}

interface Checking {
  readonly site: Site;
  readonly next: Policy<Delivery, Isolation>;
  readonly since: number;
  readonly counted: ReadonlySet<string>;
}

/** Every run that counted is decided once more, by the templates as they are and by the narrower ones. */
async function stillGranted(call: AuditClient, { site, next, since, counted }: Checking): Promise<Suggested["kept"]> {
  const replay = new Replay({ next, exceeds: site.rooms.isolation.exceeds });
  let changedSince = 0;
  for await (const request of recordedRequests(call, { since, tally: newTally() })) {
    if (!counted.has(request.id)) continue;
    const decision = decideAgain(site.policy, request);
    if (decision.kind === "denied") changedSince++;
    else replay.add({ ...request, outcome: { kind: "granted", template: decision.template } }, site.policy);
  }
  const { requests, differences } = replay.report();
  return { runs: requests, lost: differences.filter(({ kind }) => kind !== "narrowed"), changedSince };
}
