import { durationText } from "../../duration-text.ts";
import { type Duration, day, hour, minute } from "../../time.ts";
import type { TemplateCredential } from "../policy.ts";
import type { Finding, Linted, Rule } from "./rule.ts";
import { credentialsOf, gives, runName, runsWithCredentials } from "./run-view.ts";
import { scopeOf } from "./scope-view.ts";

/** What is given, and for how long. */
export const credentialRules: readonly Rule[] = [
  {
    name: "static-secret",
    level: "risk",
    says: "A stored value outlives the job: whatever learns it keeps it until somebody changes it by hand.",
    fix: "let the provider make a credential for each job; else keep the value where little is lost, and accept this",
    check: (linted) =>
      ending(linted, "static").map(({ name, provider }) => ({
        path: ["credentials", name],
        message: `${provider} gives a stored value, which nobody ends with the job`,
      })),
  },
  {
    name: "unrevocable-long",
    level: "risk",
    says: "Nobody can end this credential early, and it lives longer than fifteen minutes: a job that leaks it cannot be stopped.",
    fix: "give it 15m or less, or take it from a provider that can revoke",
    check: (linted) =>
      ending(linted, "expires")
        .filter(({ ttl }) => ttl > 15 * minute)
        .map((credential) => ttlFinding(credential, "cannot be revoked")),
  },
  {
    name: "long-life",
    level: "advice",
    says: "A credential lives for more than an hour, which few jobs need.",
    fix: "give it what the job takes; every run is given its own",
    check: (linted) =>
      ending(linted, "revoke")
        .filter((credential) => credential.ttl > hour && credential.ttl < most(linted, credential))
        .map((credential) => ttlFinding(credential, "lives long")),
  },
  {
    name: "life-at-limit",
    level: "advice",
    says: "A credential has the longest life that there is: nobody chose it for this job.",
    fix: "give it what the job takes",
    check: (linted) =>
      ending(linted, "revoke")
        .filter((credential) => credential.ttl >= most(linted, credential))
        .map((credential) => ttlFinding(credential, "the most that its provider gives")),
  },
  {
    name: "outlives-job",
    level: "advice",
    says: "A credential may live longer than its job: where revoking it fails, the rest of its life is somebody's chance.",
    fix: "give it no more than sandbox.timeout",
    check: (linted) =>
      credentialsOf(linted)
        .filter(({ ttl }) => ttl > longestRun(linted))
        .map((credential) => ttlFinding(credential, `the job has ended after ${durationText(longestRun(linted))}`)),
  },
  {
    name: "dies-before-job",
    level: "advice",
    says: "The job may run for more than an hour after its credential has ended, and nothing renews one while a job runs.",
    fix: "shorten sandbox.timeout, or use the credential in a step of its own",
    check: (linted) =>
      credentialsOf(linted)
        .filter(({ ttl }) => longestRun(linted) > ttl + hour)
        .map((credential) => ttlFinding(credential, `the job may take ${durationText(longestRun(linted))}`)),
  },
  {
    name: "unused-credential",
    level: "advice",
    says: "No step gets the credential: it is left over, or the step that needs it goes without.",
    fix: "name it in the 'credentials' of a step, or take it out",
    check: (linted) =>
      credentialsOf(linted)
        .filter(({ name }) => !linted.runs.some(({ credentials }) => credentials.some((given) => given.name === name)))
        .map(({ name }) => ({ path: ["credentials", name], message: "no step gets it" })),
  },
  {
    name: "everything-everywhere",
    level: "advice",
    says: "Every step gets every credential, so that the steps keep nothing apart.",
    fix: "give each step what it needs and no more",
    check: everythingEverywhere,
  },
  {
    name: "optional-and-only",
    level: "advice",
    says: "All that a step is given is optional: while the provider is down, it runs with nothing.",
    fix: "make one of them required, or leave 'optional' out and let the run wait",
    check: (linted) =>
      runsWithCredentials(linted)
        .filter(({ credentials }) => credentials.every(({ optional }) => optional))
        .map((run) => ({
          path: run.path.length === 0 ? ["credentials"] : run.path,
          message: `${runName(run)} has no credential that it is sure of`,
        })),
  },
  {
    name: "ages-while-waiting",
    level: "advice",
    says: "A credential is made before the run waits for another one's provider, and may have half of its life behind it, or all, when the job gets it.",
    fix: "let it live for more than twice the other's 'wait', or wait less",
    check: agesWhileWaiting,
  },
  {
    name: "credential-twice",
    level: "advice",
    says: "Two credentials ask one provider for the very same: one more thing to leak, and nothing gained.",
    fix: "take one of them out",
    check: twice,
  },
];

function ending(linted: Linted, kind: "revoke" | "expires" | "static"): readonly TemplateCredential<unknown>[] {
  return credentialsOf(linted).filter(({ name }) => linted.endings.get(name) === kind);
}

function most({ rooms }: Linted, { provider }: TemplateCredential<unknown>): Duration {
  return rooms.providers.get(provider)?.maxTtl ?? day;
}

function longestRun({ isolations }: Linted): Duration {
  return Math.max(...isolations.map(({ facts }) => facts.timeout));
}

function ttlFinding({ name, ttl }: TemplateCredential<unknown>, why: string): Finding {
  return { path: ["credentials", name, "ttl"], message: `${durationText(ttl)}: ${why}` };
}

/** Once for each that waits. */
function agesWhileWaiting(linted: Linted): readonly Finding[] {
  return credentialsOf(linted)
    .filter(({ wait }) => wait > 0)
    .flatMap(({ name, wait }) => {
      const beside = runsWithCredentials(linted).filter(({ credentials }) => credentials.some((one) => one.name === name));
      const aged = beside.flatMap(({ credentials }) => credentials.filter((one) => one.name !== name && one.ttl < 2 * wait));
      const names = [...new Set(aged.map((one) => `${one.name} (${durationText(one.ttl)})`))].join(", ");
      const message = `${durationText(wait)}, in which ${names} may have grown old`;
      return aged.length === 0 ? [] : [{ path: ["credentials", name, "wait"], message }];
    });
}

function everythingEverywhere(linted: Linted): readonly Finding[] {
  const count = linted.template.credentials.size;
  const all = linted.runs.length > 1 && count > 1 && linted.runs.every(({ credentials }) => credentials.length === count);
  return all && gives(linted)
    ? [{ path: ["steps"], message: `each of ${linted.runs.length} steps gets all ${count} credentials` }]
    : [];
}

function twice(linted: Linted): readonly Finding[] {
  const seen = new Map<string, string>();
  return credentialsOf(linted).flatMap(({ name, provider }) => {
    const key = JSON.stringify([provider, scopeOf(linted, name)]);
    const earlier = seen.get(key);
    seen.set(key, earlier ?? name);
    return earlier === undefined ? [] : [{ path: ["credentials", name], message: `the same as ${earlier}` }];
  });
}
