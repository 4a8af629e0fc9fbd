import { z } from "zod";
import { duration } from "../duration.ts";
import { durationText } from "../duration-text.ts";
import { bytes, bytesText } from "./bytes.ts";
import type { Isolation } from "./sandbox.ts";

/**
 * What a host may lack and a template may still accept, each with its reason. Everything else (user namespace, seccomp,
 * capabilities, the read-only root, no network) is never up for tolerance.
 */
export const tolerable = ["unswappable-memory", "memory-limit", "pids-limit", "cpu-limit"] as const;

export type Tolerable = (typeof tolerable)[number];

const reason = z.string().min(8, "say why, in at least eight characters").max(200);

const passName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*\*?$/, "name a variable, or the beginning of several with a '*' at its end: CI, GITHUB_*");

export const passNames = z.array(passName).max(100);

/** One name for one image: a tag beside the digest would be a second one, and without the registry a client's default would choose. */
const image = z
  .string()
  .max(512)
  .regex(
    /^[a-z0-9]+(?:[.-][a-z0-9]+)*(?::[0-9]{1,5})?(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)+@sha256:[0-9a-f]{64}$/,
    "name the image by its registry and its digest, without a tag: registry.example.com/ci/node@sha256:<64 hex digits>",
  );

/** As `mayfly doctor` names them: `crun`, `runc`. */
export const runtimeNames = z
  .array(z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "name a runtime, such as crun"))
  .min(1, "name at least one runtime, or leave 'runtimes' out")
  .max(8);

/** The template's `sandbox:` part, with its `tolerate:` beside it; gives an `Isolation`. */
export const isolationSchema = z
  .strictObject({
    image: image.optional(),
    runtimes: runtimeNames.optional(),
    env: z.strictObject({ pass: passNames }).prefault({ pass: ["CI"] }),
    memory: bytes.prefault("2GiB"),
    cpus: z.number().min(0.1).max(1024).prefault(2),
    pids: z.int().min(16).max(1_000_000).prefault(512),
    timeout: duration.prefault("30m"),
    tolerate: z.partialRecord(z.enum(tolerable), reason).prefault({}),
  })
  .prefault({})
  .transform(({ env, tolerate, image: root, runtimes, ...limits }): Isolation => {
    const reasons = Object.fromEntries(Object.entries(tolerate).filter((entry) => entry[1] !== undefined));
    return { ...limits, environment: env, tolerate: reasons, image: root, runtimes };
  });

/** As a template's `sandbox:` says it, without what the host chooses. */
export function isolationWritten({ image, runtimes, environment, memory, cpus, pids, timeout }: Isolation) {
  return {
    ...(image === undefined ? {} : { image }),
    ...(runtimes === undefined ? {} : { runtimes }),
    env: environment,
    memory: bytesText(memory),
    cpus,
    pids,
    timeout: durationText(timeout),
  };
}

/** For a person, in one line and in a template's own units. */
export function isolationText({ memory, cpus, pids, timeout, environment, tolerate, image, runtimes }: Isolation): string {
  return [
    `memory ${bytesText(memory)}`,
    cpus === 1 ? "1 cpu" : `${cpus} cpus`,
    `${pids} processes`,
    durationText(timeout),
    `passes ${environment.pass.join(", ") || "no variable"}`,
    ...(image === undefined ? [] : [`image ${image}`]),
    ...(runtimes === undefined ? [] : [`by ${runtimes.join(" or ")}`]),
    ...Object.entries(tolerate).map(([name, why]) => `tolerates ${name}: ${why}`),
  ].join(", ");
}
