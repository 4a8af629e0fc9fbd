import type { Endpoint } from "../network.ts";
import type { Step } from "../policy.ts";
import type { ProviderRoom } from "../rooms.ts";
import { meant } from "./nearest.ts";
import type { Reading } from "./reading.ts";
import { expandNetwork, type NetworkSets, type Vocabulary } from "./sets.ts";
import type { WrittenStep, WrittenTemplate } from "./template.ts";

/** What the words of a network list stand for. */
export interface NetworkWords {
  readonly sets: NetworkSets;
  readonly providers: ReadonlyMap<string, ProviderRoom>;
}

export interface Steps {
  /** Of a template without steps. */
  readonly network: readonly Endpoint[];
  readonly steps: ReadonlyMap<string, Step>;
}

/** With sets, a few words in each of a hundred steps are a hundred thousand hosts. */
const mostHosts = 4_096;

export function readSteps(written: WrittenTemplate, words: NetworkWords, reading: Reading): Steps {
  const { document, problems } = reading;
  const all = Object.keys(written.credentials);
  if (written.steps !== undefined && written.network !== undefined)
    problems.push(
      document.problem(["network"], "with steps, each says for itself what it may reach", "write it into the steps"),
    );
  let hosts = 0;
  const steps = Object.entries(written.steps ?? {}).flatMap(([name, step]): readonly (readonly [string, Step])[] => {
    if (hosts > mostHosts) return [];
    checkCredentials(name, { step, all }, reading);
    const at = ["steps", name, "network"];
    const network = expandNetwork(step.network, wordsFor(step.credentials, written, words), { ...reading, at });
    hosts += network.length;
    return [[name, { name, run: step.run, credentials: step.credentials, network, workspace: step.workspace }]];
  });
  if (hosts > mostHosts) problems.push(document.problem(["steps"], `its steps reach more than ${mostHosts} hosts in all`));
  const network = expandNetwork(written.network ?? [], wordsFor(all, written, words), { ...reading, at: ["network"] });
  return { network, steps: new Map(steps) };
}

/** A credential that the template lacks, or a provider that mayfly.yaml lacks, is complained of where it is named. */
function wordsFor(names: readonly string[], { credentials }: WrittenTemplate, { sets, providers }: NetworkWords): Vocabulary {
  const used = names.flatMap((name) => (Object.hasOwn(credentials, name) ? (credentials[name] ?? []) : []));
  const known = used.flatMap(({ provider }) => {
    const room = providers.get(provider);
    return room === undefined ? [] : [{ provider, endpoints: room.endpoints }];
  });
  return { sets, credentials: known.length < names.length ? "any" : known };
}

function checkCredentials(
  name: string,
  { step, all }: { readonly step: WrittenStep; readonly all: readonly string[] },
  { document, problems }: Reading,
): void {
  step.credentials.forEach((credential, index) => {
    const at = ["steps", name, "credentials", index];
    if (step.credentials.indexOf(credential) !== index) problems.push(document.problem(at, `${credential} is named twice`));
    if (!all.includes(credential))
      problems.push(document.problem(at, `the template has no credential ${credential}`, meant(credential, all)));
  });
}
