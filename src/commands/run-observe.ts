import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  BrokerService,
  type ObserveRequestSchema,
  type ObserveResponse,
  ObserveResponseSchema,
  type RunStartSchema,
} from "../api/gen/mayfly/v1/broker_pb.ts";
import { durationText } from "../duration-text.ts";
import { BrokerError } from "../errors.ts";
import type { Io } from "./io.ts";
import { print, table } from "./output.ts";
import { printMessage, reach } from "./reach.ts";

interface ObserveFlags {
  readonly result?: string;
  readonly json?: boolean;
  readonly socket?: string;
}

/** `mayfly run --observe`: the question of a run, of which nothing comes but the answer. A denial is the run's own. */
export async function observe(io: Io, start: MessageInitShape<typeof RunStartSchema>, flags: ObserveFlags): Promise<void> {
  if (flags.result !== undefined) throw new BrokerError("usage", "--observe runs nothing, so there is no --result");
  using client = reach(io, BrokerService, "broker", flags);
  const observed = await client.call.observe(questionOf(start));
  if (flags.json === true) printMessage(io, ObserveResponseSchema, observed);
  else print(io, ...linesOf(observed));
}

/** Neither the environment nor the workspace: no template asks for them. */
function questionOf({
  credentials,
  template,
  step,
  command,
}: MessageInitShape<typeof RunStartSchema>): MessageInitShape<typeof ObserveRequestSchema> {
  return {
    ...(credentials === undefined ? {} : { credentials }),
    ...(template === undefined ? {} : { template }),
    ...(step === undefined ? {} : { step }),
    ...(command === undefined ? {} : { command }),
  };
}

function linesOf({ observation, template, step, reason, credentials, network, unmet }: ObserveResponse): readonly string[] {
  const rows = credentials.map(({ name, provider, ttl }) => [
    name,
    provider,
    ttl === undefined ? "" : durationText(durationMs(ttl)),
  ]);
  return [
    `would be granted: ${template}${step === undefined ? "" : `, step ${step}`}`,
    `because ${reason}`,
    ...unmet.map((why) => `but its run is refused with sandbox-unmet: ${why}`),
    "",
    ...(rows.length === 0 ? ["no credentials"] : table(["CREDENTIAL", "PROVIDER", "TTL"], rows)),
    "",
    ...(network.length === 0 ? ["no network"] : ["NETWORK", ...network]),
    "",
    `observed as ${observation}; nothing was minted, and nothing ran`,
  ];
}
