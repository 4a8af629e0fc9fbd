import type { SandboxPlan } from "./sandbox.ts";

/** Why something is given to no job, and what to do instead: lower case, no full stop. */
export interface Lack {
  readonly message: string;
  readonly hint: string;
}

/**
 * What a template may ask for and this version's sandbox gives to no job, whatever the host: a run that needs it is refused with
 * `sandbox-unmet` before anything is taken. `mayfly check` and `mayfly run --observe` say so beforehand.
 */
export const lacks = {
  image: {
    message: "this broker has no images yet: every job sees the host's /usr, read-only",
    hint: "leave sandbox.image out",
  },
  network: {
    message: "this broker has no network for jobs yet",
    hint: "leave the template's network empty, or none of its runs begins",
  },
} as const satisfies Readonly<Record<string, Lack>>;

/** Those of them that this run needs. */
export function lacksOf({ isolation, network }: Pick<SandboxPlan, "isolation" | "network">): readonly Lack[] {
  return [...(isolation.image === undefined ? [] : [lacks.image]), ...(network.kind === "none" ? [] : [lacks.network])];
}
