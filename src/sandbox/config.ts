import { z } from "zod";
import { duration } from "../duration.ts";
import { bytes } from "./bytes.ts";

const absolute = z
  .string()
  .regex(/^(\/[^/\0]+)+$/, "write an absolute path without a slash at its end")
  .refine((path) => !path.split("/").some((part) => part === "." || part === ".."), "write the path without '.' and '..'");

/**
 * mayfly.yaml's `sandbox:` part: sandboxd's own, which it reads itself. What `serve` asks for is checked against it, so that a
 * compromised `serve` gains no path, range or limit that is not written here.
 */
export const sandboxConfigSchema = z
  .strictObject({
    /** `auto` takes crun, else runc, whichever runs a trivial container here. */
    runtime: z.union([z.enum(["auto", "crun", "runc"]), absolute]).prefault("auto"),
    /** Where runners keep their work trees; a workspace must lie below one of these. */
    workspaces: z.array(absolute).prefault([]),
    /** Folders of tools outside /usr that every job sees, read-only: /opt/hostedtoolcache. */
    toolchain: z.array(absolute).prefault([]),
    /** The first host uid and gid of the jobs' ranges, 65536 for each job at a time. systemd leaves what follows 0x70000000 alone. */
    uids: z
      .strictObject({
        first: z
          .int()
          .min(65_536)
          .max(0xffff_0000 - 65_536),
      })
      .prefault({ first: 0x7000_0000 }),
    /** How many jobs run at a time; one more is `busy`. */
    jobs: z.int().min(1).max(1024).prefault(8),
    /** The most that a template may ask for, one job. */
    memory: bytes.prefault("8GiB"),
    cpus: z.number().positive().prefault(64),
    pids: z.int().positive().prefault(8192),
    timeout: duration.prefault("6h"),
    /** A job's /tmp, and what it may change in an overlaid workspace; each at most a quarter of its memory. */
    scratch: bytes.prefault("512MiB"),
    /** The memory mount that holds every job's credentials. */
    secrets: bytes.prefault("64MiB"),
    /** From TERM to KILL, once a job has run too long. */
    grace: duration.prefault("5s"),
  })
  .prefault({});

export type SandboxConfig = z.infer<typeof sandboxConfigSchema>;
