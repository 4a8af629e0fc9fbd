import type { WorkspaceMode } from "./grant.ts";
import type { Reading } from "./reading.ts";
import type { WrittenStep, WrittenTemplate } from "./template.ts";

export interface Step {
  readonly name: string;
  readonly run: readonly string[] | undefined;
  readonly credentials: readonly string[];
  readonly workspace: WorkspaceMode;
}

export function readSteps(written: WrittenTemplate, { document, problems }: Reading): ReadonlyMap<string, Step> {
  const known = new Set(Object.keys(written.credentials));
  for (const [name, step] of Object.entries(written.steps ?? {})) {
    step.credentials.forEach((credential, index) => {
      const repeated = step.credentials.indexOf(credential) !== index;
      const message = repeated ? `${credential} is named twice` : `the template has no credential ${credential}`;
      if (repeated || !known.has(credential)) problems.push(document.problem(["steps", name, "credentials", index], message));
    });
  }
  return new Map(Object.entries(written.steps ?? {}).map(([name, step]) => [name, stepOf(name, step)]));
}

function stepOf(name: string, step: WrittenStep): Step {
  return { name, run: step.run, credentials: step.credentials, workspace: step.workspace };
}
