import type { Endpoint } from "./network.ts";
import { covers, endpointText } from "./replay-compare.ts";
import { fewestRuns, type Point, runsText, type Subject } from "./suggestion.ts";
import { type Edit, valueAt } from "./template-edit.ts";
import { type RunSeen, tallied } from "./usage.ts";

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
  const reached = tallied(
    runs.flatMap(({ egress }) => [...new Set(egress.filter(({ allowed }) => allowed).map(endpointText))]),
  );
  const beyond = tallied(
    runs.flatMap(({ egress }) => [...new Set(egress.filter(({ allowed }) => !allowed).map(endpointText))]),
  );
  const evidence = `${runsText(runs.length)}, reached ${listed(reached)}${beyond.size === 0 ? "" : `; beyond its list, only watched: ${listed(beyond)}`}`;
  if (runs.length === 0) return [];
  if (runs.length < fewestRuns) return [{ key, evidence: `${evidence}; fewer than ${fewestRuns} runs say nothing` }];
  const written = valueAt(text, path);
  if (!Array.isArray(written)) return [{ key, evidence: `${evidence}; the list is not written here` }];
  const hosts = new Set(runs.flatMap(({ egress }) => egress.filter(({ allowed }) => allowed)).map(endpointText));
  const by = new Map(
    written.flatMap((item: unknown) => (typeof item === "string" ? narrowedItem(item, endpoints, hosts) : [])),
  );
  if (by.size === 0) return [{ key, evidence: `${evidence}; each of its entries is needed` }];
  const edits: readonly Edit[] = [{ kind: "items", path, by }];
  const after = written.flatMap((item: unknown) => by.get(String(item)) ?? [String(item)]);
  return [{ key, evidence, before: written.map(String).join(", "), after: after.join(", ") || "nothing", edits }];
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([host, count]) => `${host} (${count})`).join(", ") || "nothing";
}

/** None where the item stays as it is: each of it is needed, or it varies and cannot be held against what was reached. */
function narrowedItem(
  item: string,
  endpoints: readonly Endpoint[],
  hosts: ReadonlySet<string>,
): readonly (readonly [string, readonly string[]])[] {
  const stands = endpoints.filter((endpoint) => isOf(endpoint, item));
  if (stands.length === 0) return [];
  const reached = [...hosts].filter((host) => stands.some((endpoint) => covers(endpoint, endpointOf(host))));
  if (reached.length === 0) return [[item, []]];
  const single = stands.every(({ host }) => !host.includes("*")) && !item.startsWith("set:");
  return single || item === "credentials" || reached.length > mostWrittenOut ? [] : [[item, reached.map(withoutDefault)]];
}

function isOf({ host, port, from }: Endpoint, item: string): boolean {
  if (from !== undefined) return from === item;
  const lower = item.toLowerCase();
  return lower === endpointText({ host, port }) || (port === 443 && lower === host);
}

function endpointOf(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(text.slice(at + 1)) };
}

function withoutDefault(endpoint: string): string {
  return endpoint.replace(/:443$/, "");
}
