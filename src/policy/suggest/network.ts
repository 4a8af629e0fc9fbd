import { covers, type Endpoint, endpointText, readEndpoint } from "../network.ts";
import { type Edit, valueAt } from "./edit.ts";
import { fewestRuns, type Point, runsText, type Subject } from "./suggestion.ts";
import { type Reached, type RunSeen, tallied } from "./usage.ts";

/** A set or a glob of which so many hosts were reached is better written out. */
const mostWrittenOut = 5;

interface NetworkOf {
  readonly path: readonly string[];
  readonly endpoints: readonly Endpoint[];
  readonly runs: readonly RunSeen[];
}

/** What each step reached, held against what it may reach. Nothing is said of hosts where none of the runs has any on record. */
export function networkPoints<I>(subject: Subject<I>): readonly Point[] {
  const { usage, text } = subject;
  const lists = networksOf(subject).filter(({ endpoints }) => endpoints.length > 0);
  if (lists.length === 0) return [];
  if (usage.counted.every(({ egress }) => egress.length === 0))
    return [{ key: "network", evidence: "what the runs reached is not on record, so every host stays" }];
  return lists.flatMap((list) => onePoint(text, list));
}

function networksOf<I>({ templates, usage: { counted } }: Subject<I>): readonly NetworkOf[] {
  const steps = new Set(templates.flatMap((template) => [...template.steps.keys()]));
  const ofSteps = [...steps].map((step) => ({
    path: ["steps", step, "network"],
    endpoints: templates.flatMap((template) => template.steps.get(step)?.network ?? []),
    runs: counted.filter((run) => run.step === step),
  }));
  return [
    {
      path: ["network"],
      endpoints: templates.flatMap(({ network }) => network),
      runs: counted.filter(({ step }) => step === undefined),
    },
    ...ofSteps,
  ];
}

function onePoint(text: string, { path, endpoints, runs }: NetworkOf): readonly Point[] {
  const key = path.join(".");
  const reached = hostsOf(runs, ({ allowed }) => allowed);
  const beyond = hostsOf(runs, ({ allowed }) => !allowed);
  const refused = beyond.size === 0 ? "" : `; beyond its list ${listed(beyond)}`;
  const evidence = `${runsText(runs.length)}, reached ${listed(reached)}${refused}`;
  if (runs.length === 0) return [];
  if (runs.length < fewestRuns) return [{ key, evidence: `${evidence}; fewer than ${fewestRuns} runs say nothing` }];
  const silent = runs.filter(({ egress }) => egress.length === 0).length;
  if (silent > 0) return [{ key, evidence: `${evidence}; of ${runsText(silent)} nothing is on record, so every host stays` }];
  const written = valueAt(text, path);
  if (!Array.isArray(written))
    return [{ key, evidence: `${evidence}; the list is that of ${String(valueAt(text, ["extends"]))}, so narrow it there` }];
  const by = new Map(
    written.flatMap((item: unknown) => (typeof item === "string" ? narrowedItem(item, endpoints, [...reached.keys()]) : [])),
  );
  if (by.size === 0) return [{ key, evidence: `${evidence}; each of its entries is needed` }];
  const edits: readonly Edit[] = [{ kind: "items", path, by }];
  const after = written.flatMap((item: unknown) => by.get(String(item)) ?? [String(item)]);
  return [{ key, evidence, before: written.map(String).join(", "), after: after.join(", ") || "nothing", edits }];
}

/** Each with the runs that reached for it, however often. */
function hostsOf(runs: readonly RunSeen[], which: (reached: Reached) => boolean): ReadonlyMap<string, number> {
  return tallied(
    runs.flatMap(({ egress }) => [
      ...new Set(egress.filter(which).map(({ host, port }) => endpointText({ host, port, from: undefined }))),
    ]),
  );
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([host, count]) => `${host} (${count})`).join(", ") || "nothing";
}

/** None where the item stays as it is: each of it is needed, or it varies and cannot be held against what was reached. */
function narrowedItem(
  item: string,
  endpoints: readonly Endpoint[],
  hosts: readonly string[],
): readonly (readonly [string, readonly string[]])[] {
  const stands = endpoints.filter((endpoint) => isOf(endpoint, item));
  if (stands.length === 0) return [];
  const reached = hosts.filter((host) => isWithin(host, stands));
  if (reached.length === 0) return [[item, []]];
  const single = stands.every(({ host }) => !host.includes("*")) && !item.startsWith("set:");
  return single || item === "credentials" || reached.length > mostWrittenOut ? [] : [[item, reached.map(withoutDefault)]];
}

function isOf({ host, port, from }: Endpoint, item: string): boolean {
  if (from !== undefined) return from === item;
  const read = readEndpoint(item);
  return read.kind === "endpoint" && read.endpoint.host === host && read.endpoint.port === port;
}

function isWithin(host: string, endpoints: readonly Endpoint[]): boolean {
  const read = readEndpoint(host);
  return read.kind === "endpoint" && endpoints.some((endpoint) => covers(endpoint, read.endpoint));
}

function withoutDefault(endpoint: string): string {
  return endpoint.replace(/:443$/, "");
}
