import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { z } from "zod";
import {
  type Exited,
  type ExitedSchema,
  ExitKind,
  type Failure,
  type FailureSchema,
  FindingState,
  type NetworkSchema,
  type Open,
  type OpenSchema,
  type SandboxRequest,
  SandboxRequestSchema,
  type SandboxResponse,
  SandboxResponseSchema,
  WorkspaceMode,
} from "../api/gen/sandbox/v1/sandbox_pb.ts";
import { asBrokerError, BrokerError, isCode } from "../errors.ts";
import type { Exit, Finding, Network, SandboxPlan } from "./sandbox.ts";

/*
 * Between the wire and the room's own words, both ways. What comes from `serve` is parsed as strictly as if a stranger had sent it.
 */

type Command = NonNullable<MessageInitShape<typeof SandboxRequestSchema>["command"]>;
type Event = NonNullable<MessageInitShape<typeof SandboxResponseSchema>["event"]>;

export function request(command: Command): SandboxRequest {
  return create(SandboxRequestSchema, { command });
}

export function response(event: Event): SandboxResponse {
  return create(SandboxResponseSchema, { event });
}

const id = z.uint32();

const endpoint = z.object({ host: z.string().min(1).max(253), port: z.int().min(1).max(65_535) });

/** The id becomes a folder's and a cgroup's name. */
const planSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/),
  owner: z.object({ uid: id, gid: id }),
  workspace: z.object({ path: z.string().max(4096), mode: z.enum(["read-only", "overlay", "rw"]) }),
  command: z
    .array(
      z
        .string()
        .max(131_072)
        .refine((word) => !word.includes("\0")),
    )
    .min(1)
    .max(4096),
  environment: z.record(z.string(), z.string().max(131_072)),
  isolation: z.object({
    memory: z.int().min(2 ** 24),
    cpus: z.number().min(0.01),
    pids: z.int().min(8),
    timeout: z.int().positive(),
    environment: z.object({ pass: z.array(z.string()) }),
    tolerate: z.record(z.string(), z.string()),
    image: z.string().max(512).or(z.undefined()),
    runtimes: z.array(z.string().max(32)).or(z.undefined()),
  }),
  network: z.union([
    z.object({ kind: z.literal("none") }),
    z.object({ kind: z.enum(["only", "observed"]), endpoints: z.array(endpoint).max(4096) }),
  ]),
});

const modes = { "read-only": WorkspaceMode.READ_ONLY, overlay: WorkspaceMode.OVERLAY, rw: WorkspaceMode.RW } as const;

export function openOf(plan: SandboxPlan): MessageInitShape<typeof OpenSchema> {
  const { memory, cpus, pids, timeout, environment, tolerate, image = "", runtimes = [] } = plan.isolation;
  const limits = { memory: BigInt(memory), cpus, pids, timeoutMs: BigInt(timeout) };
  return {
    id: plan.id,
    ...plan.owner,
    workspace: plan.workspace.path,
    mode: modes[plan.workspace.mode],
    command: [...plan.command],
    environment: plan.environment,
    isolation: { ...limits, pass: [...environment.pass], tolerate, image, runtimes: [...runtimes] },
    ...(plan.network.kind === "none" ? {} : { network: networkMessage(plan.network) }),
  };
}

function networkMessage({ kind, endpoints }: Exclude<Network, { kind: "none" }>): MessageInitShape<typeof NetworkSchema> {
  return { endpoints: endpoints.map(({ host, port }) => ({ host, port })), observed: kind === "observed" };
}

function networkOf(network: Open["network"]): unknown {
  if (network === undefined) return { kind: "none" };
  return { kind: network.observed ? "observed" : "only", endpoints: network.endpoints };
}

function isolationOf({
  memory,
  timeoutMs,
  pass,
  image,
  runtimes,
  cpus,
  pids,
  tolerate,
}: NonNullable<Open["isolation"]>): unknown {
  return {
    memory: Number(memory),
    cpus,
    pids,
    timeout: Number(timeoutMs),
    environment: { pass },
    tolerate,
    image: image === "" ? undefined : image,
    runtimes: runtimes.length === 0 ? undefined : runtimes,
  };
}

/** Throws `usage`. */
export function planOf({ id: name, uid, gid, workspace, mode, command, environment, isolation, network }: Open): SandboxPlan {
  const parsed = planSchema.safeParse({
    id: name,
    owner: { uid, gid },
    workspace: { path: workspace, mode: Object.entries(modes).find(([, value]) => value === mode)?.[0] },
    command,
    environment,
    isolation: isolation && isolationOf(isolation),
    network: networkOf(network),
  });
  if (parsed.success) return parsed.data;
  throw new BrokerError("usage", "the sandbox that was asked for is not well formed", {
    detail: z.prettifyError(parsed.error),
  });
}

const exits = {
  exited: ExitKind.EXITED,
  timeout: ExitKind.TIMEOUT,
  oom: ExitKind.OOM,
  cancelled: ExitKind.CANCELLED,
  killed: ExitKind.KILLED,
} as const;

const kinds: readonly Exit["kind"][] = ["exited", "timeout", "oom", "cancelled", "killed"];

export function exitedOf({ kind, code, peakMemory }: Exit): MessageInitShape<typeof ExitedSchema> {
  return { kind: exits[kind], code, ...(peakMemory === undefined ? {} : { peakMemory: BigInt(peakMemory) }) };
}

export function exitOf({ kind, code, peakMemory }: Pick<Exited, "kind" | "code" | "peakMemory">): Exit {
  return {
    kind: kinds.find((name) => exits[name] === kind) ?? "killed",
    code,
    peakMemory: peakMemory === undefined ? undefined : Number(peakMemory),
  };
}

export function failureOf(error: unknown): MessageInitShape<typeof FailureSchema> {
  const { code, message, hint, detail } = asBrokerError(error);
  return { code, message, hint: hint ?? "", detail: detail ?? "" };
}

export function errorOf({ code, message, hint, detail }: Failure): BrokerError {
  return new BrokerError(isCode(code) ? code : "internal", message, {
    ...(hint === "" ? {} : { hint }),
    ...(detail === "" ? {} : { detail }),
  });
}

const states = { good: FindingState.GOOD, lacking: FindingState.LACKING, bad: FindingState.BAD } as const;

export function stateOf(state: Finding["state"]): FindingState {
  return states[state];
}

export function findingOf(finding: {
  readonly name: string;
  readonly state: FindingState;
  readonly found: string;
  readonly remedy: string;
}): Finding {
  const state = finding.state === FindingState.GOOD ? "good" : finding.state === FindingState.LACKING ? "lacking" : "bad";
  return { name: finding.name, state, found: finding.found, remedy: finding.remedy === "" ? null : finding.remedy };
}
