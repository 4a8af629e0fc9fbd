import { type Duration, hour, minute } from "../../time.ts";

const second: Duration = 1_000;
const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** For a person: `3m12s`, `1h05m`; parts of a second are counted as a whole one. */
export function spanText(span: Duration): string {
  const seconds = Math.ceil(span / second);
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds}s`;
  if (minutes < 60) return `${minutes}m${padded(seconds % 60)}s`;
  return `${Math.floor(minutes / 60)}h${padded(minutes % 60)}m`;
}

const padded = (part: number): string => String(part).padStart(2, "0");

/** As a template writes it: `512MiB`, `2GiB`. */
export function bytesText(bytes: number): string {
  return bytes % GiB === 0 ? `${bytes / GiB}GiB` : `${Math.ceil(bytes / MiB)}MiB`;
}

/** What a figure is given beyond the most that was ever used: half as much again, and at least this. */
const leastMargin = { duration: minute, bytes: 64 * MiB } as const;

export const margin = "half as much again, at least 1m or 64MiB more, rounded up";

const friendlyMinutes: readonly number[] = [1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 1_440];

/** The most that was used with its margin, as somebody would have written it. */
export function roomyDuration(used: Duration): Duration {
  const wanted = Math.max(used * 1.5, used + leastMargin.duration);
  const minutes = friendlyMinutes.find((figure) => figure * minute >= wanted);
  return minutes === undefined ? Math.ceil(wanted / hour) * hour : minutes * minute;
}

const friendlyMiB: readonly number[] = [
  128, 256, 384, 512, 768, 1_024, 1_536, 2_048, 3_072, 4_096, 6_144, 8_192, 12_288, 16_384,
];

export function roomyBytes(used: number): number {
  const wanted = Math.max(used * 1.5, used + leastMargin.bytes);
  const figure = friendlyMiB.find((mebibytes) => mebibytes * MiB >= wanted);
  return figure === undefined ? Math.ceil(wanted / (4 * GiB)) * 4 * GiB : figure * MiB;
}
