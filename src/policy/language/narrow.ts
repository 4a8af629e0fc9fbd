import { durationText } from "../../duration-text.ts";
import { coveredBy, type Endpoint, endpointText } from "../network.ts";
import type { Step } from "../policy.ts";
import type { IsolationRoom } from "../rooms.ts";
import { ttlOf } from "./credential.ts";
import type { Path } from "./document.ts";
import { excesses } from "./isolation.ts";
import type { Reading } from "./reading.ts";
import type { Shape } from "./shape.ts";

/** A base as it was read, with its name for what is said. */
export interface ReadBase<I> {
  readonly name: string;
  readonly shape: Shape<I>;
}

/** What a template has beyond its base. `mergeBase` settled which credentials and steps there are; here both are read, so 1h and 60m are one. */
export function checkNarrower<I>(
  child: Shape<I>,
  { name, shape: outer }: ReadBase<I>,
  room: IsolationRoom<I>,
  reading: Reading,
): void {
  const complain: Complain = (path, message) =>
    void reading.problems.push(reading.document.problem(path, `${message} in ${name}, which it extends`));
  checkLives(child, outer, complain);
  checkSteps(child, outer, complain);
  checkNetwork(child.network, coveredBy(outer.network), (message) => complain(["network"], message));
  checkObserve(child, outer, complain);
  const { base, byTrust } = outer.isolation;
  const apart = [...child.isolation.byTrust.keys(), ...byTrust.keys()];
  const most = (trust: (typeof apart)[number] | undefined) => (trust === undefined ? base : (byTrust.get(trust) ?? base));
  const found = excesses({ isolation: child.isolation, sandbox: child.written.sandbox }, apart, (isolation, trust) =>
    room.exceeds(isolation, most(trust)),
  );
  for (const { path, message } of found) complain(path, `${message}, as`);
}

type Complain = (path: Path, message: string) => void;

function checkLives<I>(child: Shape<I>, base: Shape<I>, complain: Complain): void {
  for (const [name, credential] of Object.entries(child.written.credentials)) {
    const inherited = base.written.credentials[name];
    const longest = inherited && ttlOf(inherited, base.written.max_ttl ?? Number.POSITIVE_INFINITY);
    const ttl = ttlOf(credential, child.written.max_ttl ?? Number.POSITIVE_INFINITY);
    if (longest !== undefined && ttl > longest)
      complain(["credentials", name, "ttl"], `longer than ${durationText(longest)}, as`);
  }
}

function checkSteps<I>(child: Shape<I>, base: Shape<I>, complain: Complain): void {
  const whole = everything(base);
  for (const [name, step] of child.steps) {
    const at = ["steps", name];
    const outer = base.steps.get(name) ?? whole;
    if (outer.run !== undefined && JSON.stringify(outer.run) !== JSON.stringify(step.run))
      complain([...at, "run"], "another command is pinned");
    for (const [index, credential] of step.credentials.entries())
      if (!outer.credentials.includes(credential))
        complain([...at, "credentials", index], `this step does not get ${credential}`);
    if (modes.indexOf(step.workspace) > modes.indexOf(outer.workspace))
      complain([...at, "workspace"], `wider than ${outer.workspace}, as`);
    checkNetwork(step.network, coveredBy(outer.network), (message) => complain([...at, "network"], message));
  }
}

/** Each allows what those before it do. */
const modes: readonly string[] = ["read-only", "overlay", "rw"];

/** What a run gets where the base has no steps. */
function everything<I>({ written, network }: Shape<I>): Omit<Step, "name"> {
  return { run: undefined, credentials: Object.keys(written.credentials), network, workspace: "rw" };
}

function checkNetwork(
  inner: readonly Endpoint[],
  covered: (endpoint: Endpoint) => boolean,
  complain: (message: string) => void,
): void {
  for (const endpoint of inner) if (!covered(endpoint)) complain(`${shownEndpoint(endpoint)} is not reached`);
}

/** `git.example.com:22 (from set:node)` */
export function shownEndpoint(endpoint: Endpoint): string {
  return endpoint.from === undefined ? endpointText(endpoint) : `${endpointText(endpoint)} (from ${endpoint.from})`;
}

function checkObserve<I>({ observe }: Shape<I>, { observe: outer }: Shape<I>, complain: Complain): void {
  if (observe === undefined) return;
  for (const [index, part] of observe.parts.entries())
    if (outer?.parts.includes(part) !== true) complain(["observe", "parts", index], `${part} is not only observed`);
  if (outer !== undefined && observe.until > outer.until) complain(["observe", "until"], "later than the date");
}
