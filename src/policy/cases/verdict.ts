import { durationText } from "../../duration-text.ts";
import type { BrokerError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Instant } from "../../time.ts";
import { decideAny, decideEach } from "../decide-any.ts";
import type { Decision, Denial, Grant, TemplateTrace } from "../grant.ts";
import { match, matchAt } from "../match.ts";
import { endpointText } from "../network.ts";
import type { Policy } from "../policy.ts";
import type { ExpectedDenial, ExpectedGrant, PolicyTest } from "./cases.ts";

/** Who asks in a test: an identity, or what the verifier refused its claims with. */
export type Believed = { readonly identity: Identity } | { readonly refused: BrokerError };

/** What is not as a test expects. */
export interface Difference {
  /** The key of `expect`, or `at`. */
  readonly key: string;
  readonly expected: string;
  readonly found: string;
}

export interface Verdict {
  readonly test: PolicyTest;
  /** None: it passed. */
  readonly differences: readonly Difference[];
  /** Of the templates that the test is about; empty where no identity was believed. */
  readonly trace: readonly TemplateTrace[];
}

interface Judging<D, I> {
  readonly policy: Policy<D, I>;
  readonly believed: Believed;
  readonly now: Instant;
}

/** What becomes of one test. Pure: the decision is `decide`'s own. */
export function judge<D, I>(test: PolicyTest, judging: Judging<D, I>): Verdict {
  const { policy, believed } = judging;
  if ("refused" in believed) {
    const { code, message, detail } = believed.refused;
    const found = `denied ${code}: ${message}${detail === undefined ? "" : ` (${detail})`}`;
    return { test, differences: refusalDifferences(test, code, found), trace: [] };
  }
  const { identity } = believed;
  const decisions = decisionsOn(test, judging, identity);
  const trace = aboutWhom(policy, test, decisions).map((template) =>
    // Without a time, a trace by the clock on the wall would say something else tomorrow.
    test.at === undefined ? match(template, identity) : matchAt(template, { identity, now: test.at }),
  );
  const undated = hoursDifferences(test, policy, decisions);
  return { test, differences: undated.length > 0 ? undated : differencesOf(test, decisions, trace), trace };
}

function refusalDifferences({ expect }: PolicyTest, code: string, found: string): readonly Difference[] {
  if (expect.kind === "granted") return [{ key: "granted", expected: expect.template, found }];
  const claimed = expect.claim === undefined ? [] : [{ key: "claim", expected: expect.claim, found }];
  return expect.code === code ? claimed : [{ key: "denied", expected: expect.code, found }];
}

/** One, or where the test leaves the step out, one for each step. */
function decisionsOn<D, I>(test: PolicyTest, { policy, now }: Judging<D, I>, identity: Identity): readonly Decision<D, I>[] {
  const { template, step, command } = test;
  const ask = { identity, template, step, command, now: test.at ?? now };
  return expectsCode(test, "step-required") ? [decideAny(policy, ask)] : decideEach(policy, ask);
}

function expectsCode({ expect }: PolicyTest, code: string): boolean {
  return expect.kind === "denied" && expect.code === code;
}

/** Whose `who` lines show why: those that the test names, else those of the file that it stands beside. */
function aboutWhom<D, I>(policy: Policy<D, I>, { expect, template, file }: PolicyTest, decisions: readonly Decision<D, I>[]) {
  const named = new Set([
    template,
    expect.template,
    ...decisions.flatMap((one) => (one.kind === "granted" ? [one.template] : [])),
  ]);
  const all = [...policy.templates.values()];
  const found = all.filter(({ name }) => named.has(name));
  return found.length > 0 ? found : all.filter((one) => one.file === file.replace(/\.test\.yaml$/, ".yaml"));
}

/** A test that would come out otherwise tomorrow is no test. */
function hoursDifferences<D, I>(
  { at }: PolicyTest,
  policy: Policy<D, I>,
  decisions: readonly Decision<D, I>[],
): readonly Difference[] {
  if (at !== undefined) return [];
  const late = decisions.some((one) =>
    one.kind === "denied" ? one.code === "outside-hours" : (policy.templates.get(one.template)?.when.length ?? 0) > 0,
  );
  return late ? [{ key: "at", expected: "a time, since the template has hours (`when`)", found: "none" }] : [];
}

function differencesOf<D, I>(
  { expect }: PolicyTest,
  decisions: readonly Decision<D, I>[],
  trace: readonly TemplateTrace[],
): readonly Difference[] {
  const grants = decisions.flatMap((one) => (one.kind === "granted" ? [one] : []));
  const denial = decisions.find((one) => one.kind === "denied");
  if (expect.kind === "denied") return denialDifferences(expect, { denial, grants, trace });
  if (denial !== undefined) return [{ key: "granted", expected: expect.template, found: deniedText(denial) }];
  return grantDifferences(expect, grants);
}

function deniedText({ code, message }: Denial): string {
  return `denied ${code}: ${message}`;
}

interface Came {
  readonly denial: Denial | undefined;
  readonly grants: readonly Grant<unknown, unknown>[];
  readonly trace: readonly TemplateTrace[];
}

function denialDifferences({ code, claim }: ExpectedDenial, { denial, grants, trace }: Came): readonly Difference[] {
  const [grant] = grants;
  if (grant !== undefined) return [{ key: "denied", expected: code, found: `granted ${grant.template}${stepText(grant)}` }];
  if (denial?.code !== code)
    return [{ key: "denied", expected: code, found: denial === undefined ? "nothing" : deniedText(denial) }];
  if (claim === undefined) return [];
  const failed = trace.flatMap(({ matched, lines }) => (matched ? [] : [lines.at(-1)?.line ?? ""]));
  if (failed.some((line) => isOf(line, claim))) return [];
  const found = failed.length === 0 ? "every line held" : `failed first at ${failed.join(", ")}`;
  return [{ key: "claim", expected: claim, found }];
}

function stepText({ step }: Grant<unknown, unknown>): string {
  return step === undefined ? "" : `, step ${step}`;
}

/** `not ref` and `absent ref` are lines about `ref`. */
function isOf(line: string, claim: string): boolean {
  return line === claim || line.replace(/^(?:not|absent) /, "") === claim;
}

/** Of several steps, what they give together. */
function grantDifferences(expect: ExpectedGrant, grants: readonly Grant<unknown, unknown>[]): readonly Difference[] {
  const templates = distinct(grants.map(({ template }) => template));
  if (templates !== expect.template) return [{ key: "granted", expected: expect.template, found: `granted ${templates}` }];
  const credentials = grants.flatMap((grant) => grant.credentials);
  const network = grants.flatMap((grant) => grant.network.map(endpointText));
  const compared = [
    lists(
      "credentials",
      expect.credentials,
      credentials.map(({ name }) => name),
    ),
    ...Object.entries(expect.ttl).map(([name, ttl]) =>
      texts(
        `ttl.${name}`,
        durationText(ttl),
        distinct(credentials.flatMap((one) => (one.name === name ? [durationText(one.ttl)] : []))),
      ),
    ),
    lists("network", expect.network, network),
    texts("workspace", expect.workspace, distinct(grants.map(({ workspace }) => workspace))),
  ];
  return compared.flat();
}

/** Compared as lists and only then said as text: a credential may be called `none`. */
function lists(key: string, expected: readonly string[] | undefined, found: readonly string[]): readonly Difference[] {
  if (expected === undefined || (expected.every((one) => found.includes(one)) && found.every((one) => expected.includes(one))))
    return [];
  const quoted = (items: readonly string[]): string => distinct(items.map((item) => (item === "none" ? `"none"` : item)));
  return [{ key, expected: quoted(expected), found: quoted(found) }];
}

function texts(key: string, expected: string | undefined, found: string): readonly Difference[] {
  return expected === undefined || expected === found ? [] : [{ key, expected, found }];
}

function distinct(items: readonly string[]): string {
  return items.length === 0 ? "none" : [...new Set(items)].toSorted().join(", ");
}
