import { z } from "zod";

const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

const form = "write an amount of memory as a whole number and a unit: 512MiB or 2GiB";

/** `512MiB`, `2GiB`: an amount of memory as operators write it; a bare number is refused, since its unit is a guess. */
export const bytes = z
  .string({ error: ({ input }) => (typeof input === "number" ? `${input} has no unit: ${form}` : form) })
  .regex(/^[1-9][0-9]{0,6}(KiB|MiB|GiB)$/, form)
  .transform((text): number => {
    const [, count, unit] = /^([0-9]+)([A-Za-z]+)$/.exec(text) ?? [];
    return Number(count) * (units[unit ?? ""] ?? Number.NaN);
  });

/** As `bytes` reads it, in the largest unit that is whole. */
export function bytesText(amount: number): string {
  const [unit, size] = Object.entries(units).findLast(([, of]) => amount % of === 0) ?? ["bytes", 1];
  return `${amount / size}${unit}`;
}
