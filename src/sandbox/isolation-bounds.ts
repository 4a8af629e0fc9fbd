import { z } from "zod";
import { duration } from "../duration.ts";
import { durationText } from "../duration-text.ts";
import type { Excess, IsolationBounds } from "../policy/rooms.ts";
import { bytes, bytesText } from "./bytes.ts";
import { named } from "./environment.ts";
import { passNames, runtimeNames, tolerable } from "./isolation.ts";
import type { Isolation } from "./sandbox.ts";

/** The most of each key that a template may ask for; undefined bounds nothing. */
export interface Bounds {
  readonly memory: number | undefined;
  readonly cpus: number | undefined;
  readonly pids: number | undefined;
  readonly timeout: number | undefined;
  readonly pass: readonly string[] | undefined;
  readonly runtimes: readonly string[] | undefined;
  readonly tolerate: readonly string[] | undefined;
  /** `host` is the one without an image; any other names images, whose last `*` stays within one segment of the path. */
  readonly images: readonly string[] | undefined;
}

const imagePattern = z
  .string()
  .max(512)
  .regex(
    /^(?:host|[a-z0-9.-]+(?::[0-9]{1,5})?(?:\/[a-z0-9._-]+)*\/(?:[a-z0-9._-]*\*|[a-z0-9._-]+(?:@sha256:[0-9a-f]{64})?))$/,
    "write host, an image with its registry, or one whose last segment ends in '*': registry.example.com/ci/*",
  );

/** The `sandbox:` of a `bounds.yaml`, with its `tolerate:` beside it. */
export const boundsSchema = z
  .strictObject({
    memory: bytes.optional(),
    cpus: z.number().positive().optional(),
    pids: z.int().positive().optional(),
    timeout: duration.optional(),
    env: z.strictObject({ pass: passNames.optional() }).prefault({}),
    images: z.array(imagePattern).min(1, "name what is left: host, or some images").max(100).optional(),
    runtimes: runtimeNames.optional(),
    tolerate: z.array(z.enum(tolerable)).optional(),
  })
  .prefault({})
  .transform(
    ({ env, ...rest }): IsolationBounds<Isolation> => ({
      beyond: (isolation) => beyond(isolation, bounds({ ...rest, pass: env.pass })),
      // Left out, it would be whichever the host has chosen, and that may be any.
      usual: rest.runtimes === undefined ? {} : { runtimes: rest.runtimes },
    }),
  );

type Optional<T> = { readonly [Name in keyof T]?: T[Name] | undefined };

function bounds({ memory, cpus, pids, timeout, pass, runtimes, tolerate, images }: Optional<Bounds>): Bounds {
  return { memory, cpus, pids, timeout, pass, runtimes, tolerate, images };
}

/** Everything in which it asks for more. Pure. */
export function beyond(isolation: Isolation, most: Bounds): readonly Excess[] {
  return [
    ...limits.flatMap((key) => limitBeyond(key, isolation[key], most[key])),
    ...passBeyond(isolation.environment.pass, most.pass),
    ...imageBeyond(isolation.image, most.images),
    ...runtimesBeyond(isolation.runtimes, most.runtimes),
    ...toleratedBeyond(Object.keys(isolation.tolerate), most.tolerate),
  ];
}

const limits = ["memory", "cpus", "pids", "timeout"] as const;

const texts = { memory: bytesText, cpus: String, pids: String, timeout: durationText } as const;

function limitBeyond(key: (typeof limits)[number], asked: number, most: number | undefined): readonly Excess[] {
  if (most === undefined || asked <= most) return [];
  return [{ key, message: `${texts[key](asked)} is more than ${texts[key](most)}` }];
}

/** `GITHUB_*` covers `GITHUB_SHA` and `GITHUB_RUN_*`; nothing covers the beginning of more than it names itself. */
function passBeyond(asked: readonly string[], most: readonly string[] | undefined): readonly Excess[] {
  if (most === undefined) return [];
  const more = asked.filter((name) => !named(name, most));
  return more.map((name) => ({ key: "env.pass", message: `${name} is not among what may be passed: ${listed(most)}` }));
}

function imageBeyond(asked: string | undefined, most: readonly string[] | undefined): readonly Excess[] {
  if (most === undefined || most.some((pattern) => admits(pattern, asked))) return [];
  const message = asked === undefined ? "the host's own toolchain is not allowed, name an image" : `${asked} is not allowed`;
  return [{ key: "image", message: `${message}: ${listed(most)}` }];
}

function admits(pattern: string, image: string | undefined): boolean {
  if (image === undefined || pattern === "host") return image === undefined && pattern === "host";
  const [name = ""] = image.split("@");
  if (!pattern.endsWith("*")) return pattern === (pattern.includes("@") ? image : name);
  const beginning = pattern.slice(0, -1);
  return name.startsWith(beginning) && !name.slice(beginning.length).includes("/");
}

/** Whichever the host has chosen may be any. */
function runtimesBeyond(asked: readonly string[] | undefined, most: readonly string[] | undefined): readonly Excess[] {
  if (most === undefined) return [];
  if (asked === undefined) return [{ key: "runtimes", message: `left out, any may run it; name some of ${listed(most)}` }];
  const more = asked.filter((name) => !most.includes(name));
  return more.map((name) => ({ key: "runtimes", message: `${name} is not among ${listed(most)}` }));
}

function toleratedBeyond(asked: readonly string[], most: readonly string[] | undefined): readonly Excess[] {
  if (most === undefined) return [];
  const more = asked.filter((name) => !most.includes(name));
  return more.map((name) => ({ key: `tolerate.${name}`, message: `${name} may not be tolerated` }));
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}
