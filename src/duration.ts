import { z } from "zod";
import { units } from "./duration-text.ts";
import type { Duration } from "./time.ts";

const form = "write a duration as a whole number and a unit: 250ms, 90s, 15m, 12h or 7d";

/** `90s`, `15m`, `12h`, `7d` and `250ms`, as operators write them; a bare number is refused, since its unit is a guess. */
export const duration = z
  .string({ error: ({ input }) => (typeof input === "number" ? `${input} has no unit: ${form}` : form) })
  .regex(/^[1-9][0-9]{0,8}(ms|s|m|h|d)$/, form)
  .transform((text): Duration => {
    const [, count, unit] = /^([0-9]+)([a-z]+)$/.exec(text) ?? [];
    return Number(count) * (units[unit ?? ""] ?? Number.NaN);
  });
