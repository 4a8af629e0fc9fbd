import type { WorkspaceMode } from "../grant.ts";
import type { Path } from "../language/document.ts";
import type { Endpoint } from "../network.ts";
import type { Template, TemplateCredential } from "../policy.ts";
import type { Linted } from "./rule.ts";

/** One kind of run that a template can be used for. */
export interface Run {
  /** Undefined where the template has no steps. */
  readonly step: string | undefined;
  readonly command: readonly string[] | undefined;
  readonly credentials: readonly TemplateCredential<unknown>[];
  readonly network: readonly Endpoint[];
  readonly workspace: WorkspaceMode;
  readonly path: Path;
}

export function runsOf(template: Template<unknown, unknown>): readonly Run[] {
  const all = [...template.credentials.values()];
  const whole: Run = {
    step: undefined,
    command: undefined,
    credentials: all,
    network: template.network,
    workspace: "rw",
    path: [],
  };
  if (template.steps.size === 0) return [whole];
  return [...template.steps.values()].map(({ name, run, credentials, network, workspace }) => ({
    step: name,
    command: run,
    credentials: all.filter((credential) => credentials.includes(credential.name)),
    network,
    workspace,
    path: ["steps", name],
  }));
}

/** Whether anybody could be given anything by it. */
export function gives({ template, runs }: Linted): boolean {
  return template.who.length > 0 && runs.some(({ credentials }) => credentials.length > 0);
}

/** Those of templates that give something to somebody. */
export function credentialsOf(linted: Linted): readonly TemplateCredential<unknown>[] {
  return linted.template.who.length > 0 ? [...linted.template.credentials.values()] : [];
}

export function runsWithCredentials(linted: Linted): readonly Run[] {
  return gives(linted) ? linted.runs.filter(({ credentials }) => credentials.length > 0) : [];
}

/** `the step ship`, or `a run`. */
export function runName({ step }: Run): string {
  return step === undefined ? "a run" : `the step ${step}`;
}
