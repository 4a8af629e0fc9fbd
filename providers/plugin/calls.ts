import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromJson,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { z } from "zod";
import { ProviderService } from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import { type HttpAnswer, jsonOf, NeverSent, timed } from "../../src/lease/http.ts";
import type { Secret } from "../../src/secret.ts";
import type { Clock, Duration } from "../../src/time.ts";
import { type PluginProcess, unreached } from "./process.ts";
import { BadAnswer, toldBy } from "./text.ts";

/** Between two attempts to be let in by a plug-in that is starting, or whose queue is full. */
const pause: Duration = 20;

export interface Calling {
  readonly process: PluginProcess;
  readonly clock: Clock;
  readonly timeout: Duration;
}

export interface Call<I extends DescMessage> {
  readonly message: MessageInitShape<I>;
  /** What is sent and must never be told. */
  readonly secrets: readonly Secret[];
  readonly signal: AbortSignal;
}

/**
 * One call, within the timeout. Rejects with `provider-unavailable` while no connection has been made, since then certainly nothing happened,
 * and with an error that is none of ours once one was: whatever the status, the credential may be alive.
 */
export async function call<I extends DescMessage, O extends DescMessage>(
  calling: Calling,
  method: DescMethodUnary<I, O>,
  { message, secrets, signal }: Call<I>,
): Promise<MessageShape<O>> {
  const body = Buffer.from(JSON.stringify(toJson(method.input, create(method.input, message))));
  try {
    const answer = await letIn(calling, { method: method.name, body, signal });
    if (answer.status !== 200) throw complaintOf(answer, secrets);
    return read(method.output, jsonOf(answer));
  } finally {
    body.fill(0);
  }
}

interface Sent {
  readonly method: string;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

/** Asks again only while it was never let in. */
async function letIn({ process, clock, timeout }: Calling, { method, body, signal }: Sent): Promise<HttpAnswer> {
  const until = clock.monotonic() + timeout;
  const left = (): Duration => until - clock.monotonic();
  const attempt = async (): Promise<HttpAnswer> => {
    const socket = await process.socket(left(), signal);
    const headers = { "content-type": "application/json", "connect-protocol-version": "1" };
    return timed(
      { name: "the provider's process", clock, timeout: left() },
      {
        method: "POST",
        url: new URL(`http://plugin/${ProviderService.typeName}/${method}`),
        socket,
        headers: { ...headers, "connect-timeout-ms": String(Math.max(1, Math.round(left()))) },
        body,
        signal,
      },
    );
  };
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof NeverSent)) throw error;
      if (signal.aborted) throw unreached("told to stop");
      if (left() <= pause) throw unreached(`it does not listen (${error.message})`);
      await clock.sleep(pause, signal).catch(() => undefined);
    }
  }
}

/** The plug-in came to an end with this call and said so; what became of the credential it did not say. */
export class Complaint extends Error {
  override readonly name = "Complaint";
}

const connectError = z.object({ code: z.string(), message: z.string().default("") });

function complaintOf(answer: HttpAnswer, secrets: readonly Secret[]): Error {
  const said = connectError.safeParse(jsonIn(answer));
  if (!said.success) return new BadAnswer(`status ${answer.status}, with no error of Connect's`);
  return new Complaint(toldBy(`${said.data.code}: ${said.data.message}`, secrets));
}

function jsonIn(answer: HttpAnswer): unknown {
  try {
    return jsonOf(answer);
  } catch {
    return undefined;
  }
}

/** The parser's own error would quote what it read. */
function read<O extends DescMessage>(schema: O, json: unknown): MessageShape<O> {
  try {
    return fromJson(schema, z.json().parse(json), { ignoreUnknownFields: false });
  } catch (error) {
    throw new BadAnswer(`the answer is no ${schema.name}${isFieldError(error) ? `, by its ${error.field().name}` : ""}`);
  }
}
