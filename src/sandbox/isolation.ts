import { z } from "zod";
import { duration } from "../duration.ts";
import { bytes } from "./bytes.ts";
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

const image = z
  .never({ error: "images are not supported yet; leave 'image' out, and the job sees the host's /usr, read-only" })
  .optional();

/** The template's `sandbox:` part, with its `tolerate:` beside it; gives an `Isolation`. */
export const isolationSchema = z
  .strictObject({
    image,
    env: z.strictObject({ pass: z.array(passName).max(100) }).prefault({ pass: ["CI"] }),
    memory: bytes.prefault("2GiB"),
    cpus: z.number().min(0.1).max(1024).prefault(2),
    pids: z.int().min(16).max(1_000_000).prefault(512),
    timeout: duration.prefault("30m"),
    tolerate: z.partialRecord(z.enum(tolerable), reason).prefault({}),
  })
  .prefault({})
  .transform(({ memory, cpus, pids, timeout, env, tolerate }): Isolation => {
    const reasons = Object.fromEntries(Object.entries(tolerate).filter((entry) => entry[1] !== undefined));
    return { memory, cpus, pids, timeout, environment: env, tolerate: reasons };
  });
