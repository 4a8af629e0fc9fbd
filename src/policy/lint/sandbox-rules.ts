import { durationText } from "../../duration-text.ts";
import { hour } from "../../time.ts";
import type { IsolationFacts } from "../rooms.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { runName } from "./run-view.ts";
import { asks, letsIn } from "./who-view.ts";

/** What a run brings with it, and what holds it. */
export const sandboxRules: readonly Rule[] = [
  {
    name: "sandbox-unmet",
    level: "advice",
    says: "No run is given this yet: each that needs it is refused with sandbox-unmet, before anything is minted.",
    fix: "leave it out until a broker gives it",
    check: (linted) => (linted.template.who.length === 0 ? [] : [...imageFindings(linted), ...networkFindings(linted)]),
  },
  {
    name: "passes-secret",
    level: "risk",
    says: "By its name the variable is a secret of the runner's, or among all that begin so there can be one: it reaches the job unrecorded, and nobody ends it with the job.",
    fix: "give the job a credential instead, and take the name out of sandbox.env.pass; instead of a beginning, name the variables",
    check: (linted) =>
      passFindings(linted, ({ passes, dropped }) => passes.filter((name) => !dropped.includes(name) && isSecret(name))).map(
        ({ name, path }) => ({
          path,
          message: name.endsWith("*") ? `${name} also passes ${name.slice(0, -1)}…TOKEN` : `${name} is a secret, by its name`,
        }),
      ),
  },
  {
    name: "passes-widely",
    level: "risk",
    says: "The beginning of a name is so short that it passes variables of many programs, secrets among them.",
    fix: "name the variables, or a beginning such as GITHUB_*",
    check: (linted) =>
      passFindings(linted, ({ passes }) => passes.filter(isWide)).map(({ name, path }) => ({
        path,
        message: `${name} passes whatever begins so`,
      })),
  },
  {
    name: "pass-is-dropped",
    level: "advice",
    says: "The variable never enters a job, whatever a template passes: the job goes without it, and nothing says so.",
    fix: "take it out; a credential of the job's own is given by the template",
    check: (linted) =>
      passFindings(linted, ({ dropped }) => dropped).map(({ name, path }) => ({ path, message: `${name} is never passed` })),
  },
  {
    name: "tolerates",
    level: "advice",
    says: "The job also runs on a host that cannot hold it as it should.",
    fix: "give the host what it lacks (`mayfly doctor` says what), and take the line out",
    check: (linted) =>
      [...new Set(linted.isolations.flatMap(({ facts }) => facts.tolerates))].map((name) => ({
        path: ["tolerate", name],
        message: `runs without ${name}`,
      })),
  },
  {
    name: "runs-for-hours",
    level: "advice",
    says: "A job may run for more than six hours: what has gone wrong with it is noticed late.",
    fix: "set sandbox.timeout to what it takes",
    check: ({ isolations }) =>
      isolations
        .filter(
          ({ facts }, index) => facts.timeout > 6 * hour && (index === 0 || facts.timeout !== isolations[0]?.facts.timeout),
        )
        .map(({ path, facts }) => ({ path: [...path, "timeout"], message: durationText(facts.timeout) })),
  },
  {
    name: "by-trust-loosens",
    level: "risk",
    says: "A less trusted job is held less tightly than a trusted one.",
    fix: "let the less trusted have the same or less",
    check: (linted) =>
      [...linted.template.isolation.byTrust].flatMap(([trust, isolation]) => {
        if (trust === "protected") return [];
        const excess = linted.rooms.isolation.exceeds(isolation, linted.template.isolation.base);
        return excess.slice(0, 1).map(({ key }) => ({
          path: ["sandbox", "by_trust", trust],
          message: `a job of trust ${trust} has more than others: ${key}`,
        }));
      }),
  },
  {
    name: "by-trust-idle",
    level: "advice",
    says: "Settings are for a trust that `who` never lets in.",
    fix: "take them out, or let that trust in",
    check: (linted) =>
      [...linted.template.isolation.byTrust.keys()]
        .filter((trust) => asks(linted, "trust") && !letsIn(linted, "trust", trust))
        .map((trust) => ({ path: ["sandbox", "by_trust", trust], message: `no job of trust ${trust} can match` })),
  },
];

function imageFindings({ rooms, isolations }: Linted): readonly Finding[] {
  const why = rooms.isolation.lacks.image;
  const [common] = isolations;
  return isolations
    .filter(({ facts }, index) => facts.image !== undefined && (index === 0 || facts.image !== common?.facts.image))
    .flatMap(({ path }) => (why === undefined ? [] : [{ path: [...path, "image"], message: why }]));
}

/** Where only watched, a network is asked for all the same. */
function networkFindings({ rooms, runs, template }: Linted): readonly Finding[] {
  const why = rooms.isolation.lacks.network;
  if (why === undefined) return [];
  if (template.observe?.parts.includes("network") === true)
    return [{ path: ["observe", "parts"], message: `the network is watched: ${why}` }];
  return runs
    .filter(({ network }) => network.length > 0)
    .map((run) => ({ path: [...run.path, "network"], message: `${runName(run)} asks for a network: ${why}` }));
}

/** What the names of secrets end in. */
const secret = /(?:(?:TOKEN|SECRET|PASS|PASSWORD|PASSPHRASE|KEY|CREDENTIAL)S?|PASSWD|(?:^|_)(?:PWD|PAT|AUTH|JWT))$/i;
/** They end so, and are none. */
const plainNames: readonly string[] = ["PWD", "OLDPWD"];
/** What CI systems' own variables begin with: their secrets are known, and never enter a job (`sandbox/denied-names.ts`). */
const plainBeginnings: readonly string[] = [
  ["GITHUB_*", "GITHUB_REF_*", "GITHUB_RUN_*", "GITHUB_WORKFLOW_*", "FORGEJO_*", "RUNNER_*"],
  ["CI_*", "CI_COMMIT_*", "CI_JOB_*", "CI_PIPELINE_*", "CI_PROJECT_*", "CI_MERGE_REQUEST_*", "CI_ENVIRONMENT_*", "GITLAB_*"],
  ["BUILDKITE_*", "CIRCLE_*", "BITBUCKET_*", "LC_*"],
].flat();

/** Any beginning can be that of a secret's name. */
function isSecret(name: string): boolean {
  if (name.endsWith("*")) return !isWide(name) && !plainBeginnings.includes(name);
  return secret.test(name) && !plainNames.includes(name);
}

function isWide(name: string): boolean {
  return name.endsWith("*") && name.length < 4;
}

/** Of every trust's own sandbox, what most jobs have not. */
function passFindings(
  { template, isolations }: Linted,
  pick: (facts: IsolationFacts) => readonly string[],
): readonly { readonly name: string; readonly path: Finding["path"] }[] {
  if (template.who.length === 0) return [];
  const [common, ...others] = isolations.map(({ path, facts }) => ({ path: [...path, "env", "pass"], names: pick(facts) }));
  const more = others.map(({ path, names }) => ({
    path,
    names: names.filter((name) => common?.names.includes(name) !== true),
  }));
  return [...(common === undefined ? [] : [common]), ...more].flatMap(({ path, names }) =>
    names.map((name) => ({ path, name })),
  );
}
