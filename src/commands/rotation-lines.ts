import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Rotation } from "../api/gen/mayfly/v1/control_pb.ts";
import type { Duration } from "../time.ts";
import type { Io } from "./io.ts";
import { spanText } from "./span-text.ts";

/** One line for each secret that a provider can replace: how old it is, and when it is replaced next. */
export function rotationLines(io: Io, rotations: readonly Rotation[]): readonly string[] {
  const now = io.clock.now();
  return rotations.map(({ provider, name, rotatedAt, next, trouble }) => {
    const age = rotatedAt === undefined ? "never replaced by this broker" : `${spanText(now - timestampMs(rotatedAt))} old`;
    const due = next === undefined ? "" : `, ${dueText(timestampMs(next) - now)}`;
    return `rotation   ${provider}/${name}: ${age}${due}${trouble === "" ? "" : `; last attempt failed: ${trouble}`}`;
  });
}

function dueText(left: Duration): string {
  return left <= 0 ? "due now" : `due in ${spanText(left)}`;
}
