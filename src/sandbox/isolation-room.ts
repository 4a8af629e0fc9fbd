import type { Excess, IsolationRoom } from "../policy/rooms.ts";
import type { SandboxConfig } from "./config.ts";
import { isDropped } from "./environment.ts";
import { isolationSchema, isolationWritten } from "./isolation.ts";
import { beyond, boundsSchema } from "./isolation-bounds.ts";
import { lacks } from "./lacks.ts";
import type { Isolation } from "./sandbox.ts";

/** What policy asks of the sandbox while templates are read. Pure: the host is known by its configuration alone. */
export function isolationRoom({ memory, cpus, pids, timeout }: SandboxConfig): IsolationRoom<Isolation> {
  return {
    schema: isolationSchema,
    bounds: boundsSchema,
    exceeds,
    unlimited: (isolation) => ({ ...isolation, memory, cpus, pids, timeout }),
    written: isolationWritten,
    facts: ({ timeout: span, image, environment, tolerate }) => ({
      timeout: span,
      image,
      passes: environment.pass,
      tolerates: Object.keys(tolerate),
      dropped: environment.pass.filter(isDropped),
    }),
    lacks: { image: lacks.image.message, network: lacks.network.message },
  };
}

/** Another image is neither more nor less, so that it is too much. */
function exceeds(inner: Isolation, outer: Isolation): readonly Excess[] {
  const { environment, tolerate, image: _, ...rest } = outer;
  const most = { ...rest, pass: environment.pass, tolerate: Object.keys(tolerate), images: undefined };
  const other =
    inner.image === outer.image ? [] : [{ key: "image", message: `it is not ${outer.image ?? "the host's own toolchain"}` }];
  return [...beyond(inner, most), ...other];
}
