import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { z } from "zod";
import {
  type Minted as Given,
  ProviderService,
  type Intent as WireIntent,
} from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import { BrokerError } from "../../src/errors.ts";
import type { EndRequest, Handle, Intent, Minted, MintRequest, ProviderContext, Recovered } from "../../src/lease/provider.ts";
import { fieldsOf, type Material, secretsOf } from "../../src/material.ts";
import { Secret } from "../../src/secret.ts";
import { type Calling, Complaint, call } from "./calls.ts";
import type { PluginConfig } from "./config.ts";
import { broken, checkLife, endingOf, openHandle } from "./ending.ts";
import { tooLong } from "./fields.ts";
import { type Case, caseOf, type Manifest } from "./manifest.ts";
import { materialOf } from "./material.ts";
import { type Listening, Output } from "./output.ts";
import { PluginProcess } from "./process.ts";
import { BadAnswer, holds, toldBy } from "./text.ts";

type Options = Readonly<Record<string, unknown>>;

export interface RemoteParts {
  readonly manifest: Manifest;
  readonly settings: PluginConfig;
  /** As the manifest's schema gave it. */
  readonly config: Options;
  readonly context: ProviderContext;
}

/** What of this world a Struct can hold. */
const struct = z.record(z.string(), z.json());

interface Ask<I extends DescMessage, O extends DescMessage, T> extends EndRequest {
  readonly method: DescMethodUnary<I, O>;
  readonly message: (proof: string) => MessageInitShape<I>;
  /** What else of the message is secret. */
  readonly sealed?: Readonly<Record<string, string>>;
  /** Tells `listening` of every secret in the answer before it looks at anything else. */
  readonly read: (answer: MessageShape<O>, listening: Listening, sent: readonly Secret[]) => T;
}

/** The joint, spoken over a socket: each method asks, reads the answer strictly, and holds it against what was declared and asked. */
export class Remote {
  readonly #parts: RemoteParts;
  readonly #life: { readonly calling: Calling; readonly output: Output } | undefined;

  constructor(parts: RemoteParts) {
    this.#parts = parts;
    this.#life = lifeOf(parts);
  }

  async mint({ intent, options, proof, signal }: MintRequest<Options>): Promise<Minted> {
    const long = tooLong(this.#parts.manifest.options, options);
    if (long !== undefined)
      throw new BrokerError("provider-refused", `the option ${long} is longer than its provider takes`, {
        hint: "a claim that fills a slot of it is that long",
      });
    const declared = caseOf(this.#parts.manifest, options);
    return this.#ask({
      method: ProviderService.method.mint,
      message: (token) => ({ intent: wireIntent(intent), options: struct.parse(options), proof: token }),
      proof,
      signal,
      read: ({ outcome }, listening, sent) => {
        if (outcome.case === "minted") return this.#given(outcome.value, { intent, declared, listening, sent });
        if (outcome.case === undefined) throw new BadAnswer("it is not said what came of it");
        const code = outcome.case === "refused" ? "provider-refused" : "provider-unavailable";
        throw new BrokerError(code, undefined, {
          detail: toldBy(outcome.value.detail, sent),
          hint: "the broker's log has its reason",
        });
      },
    });
  }

  revoke(handle: Handle, { proof, signal }: EndRequest): Promise<void> {
    const opened = openHandle(handle, this.#parts.context.authority);
    return this.#ask({
      method: ProviderService.method.revoke,
      message: (token) => ({ ...opened, proof: token }),
      sealed: opened.sealed,
      proof,
      signal,
      read: () => undefined,
    });
  }

  recover(intent: Intent, options: Options, { proof, signal }: EndRequest): Promise<Recovered> {
    const declared = caseOf(this.#parts.manifest, options);
    return this.#ask({
      method: ProviderService.method.recover,
      message: (token) => ({ intent: wireIntent(intent), options: struct.parse(options), proof: token }),
      proof,
      signal,
      read: ({ outcome }): Recovered => {
        if (outcome.case === undefined) throw new BadAnswer("it is not said what was found");
        if (outcome.case === "neverHappened") return { kind: "never-happened" };
        // However long it lives: what was given for too long must be found too.
        return { kind: "found", ending: endingOf(outcome.value, declared, this.#parts.context.authority) };
      },
    });
  }

  renew(handle: Handle, { proof, signal }: EndRequest): Promise<void> {
    const opened = openHandle(handle, this.#parts.context.authority);
    return this.#ask({
      method: ProviderService.method.renew,
      message: (token) => ({ ...opened, proof: token }),
      sealed: opened.sealed,
      proof,
      signal,
      read: () => undefined,
    });
  }

  rotate(name: string, { proof, signal }: EndRequest): Promise<void> {
    return this.#ask({
      method: ProviderService.method.rotate,
      message: (token) => ({ name, proof: token }),
      proof,
      signal,
      read: () => undefined,
    });
  }

  #given(given: Given, { intent, declared, listening, sent }: Asked): Minted {
    if (given.material === undefined) throw new BadAnswer("the answer holds no material");
    const material = materialOf(given.material);
    const secrets = secretsOf(material);
    listening.known(secrets);
    try {
      if (material.kind !== declared.gives) throw broken(`it gave ${material.kind}, and not ${declared.gives}`);
      const { authority, clock } = this.#parts.context;
      const ending = endingOf(given.ending, declared, authority);
      checkLife(ending, intent.ttl, clock.now());
      const handle = ending.kind === "revoke" ? Object.values(ending.handle) : [];
      if (holds([...plainParts(material), ...handle], [...secrets, ...sent])) throw broken("a secret stands where none may be");
      return { material, ending };
    } catch (error) {
      for (const secret of secrets) secret.wipe();
      throw error;
    }
  }

  async #ask<I extends DescMessage, O extends DescMessage, T>(ask: Ask<I, O, T>): Promise<T> {
    if (this.#life === undefined)
      throw new BrokerError("internal", undefined, { detail: "templates are only read here, so no provider's process runs" });
    const { calling, output } = this.#life;
    const { audience } = this.#parts.settings;
    const token = audience === undefined ? undefined : await ask.proof.token(audience);
    const sent = [...(token === undefined ? [] : [token]), ...Object.values(ask.sealed ?? {}).map((value) => Secret.of(value))];
    const listening = output.during(sent);
    try {
      const message = ask.message(token?.use((bytes) => bytes.toString("utf8")) ?? "");
      const answer = await call(calling, ask.method, { message, secrets: sent, signal: ask.signal });
      const result = ask.read(answer, listening, sent);
      listening.known([]);
      return result;
    } catch (error) {
      if (hasSpoken(error)) listening.known([]);
      else listening.lost();
      throw error;
    }
  }
}

interface Asked {
  readonly intent: Intent;
  readonly declared: Case;
  readonly listening: Listening;
  readonly sent: readonly Secret[];
}

/** Whether the plug-in came to an end with the call, so that what it printed beside it holds nothing that we could not know. */
function hasSpoken(error: unknown): boolean {
  return error instanceof Complaint || error instanceof BrokerError;
}

function lifeOf({ settings, config, context }: RemoteParts): { calling: Calling; output: Output } | undefined {
  const { lodging, clock, as } = context;
  if (lodging === undefined) return undefined;
  const { command, timeout } = settings;
  const output = new Output({ lodging, clock, linger: timeout });
  const start = { protocol: 1, as, config: struct.parse(config) };
  return { output, calling: { clock, timeout, process: new PluginProcess({ command, start, lodging, output, clock }) } };
}

function wireIntent({ ttl, latestExpiry, ...names }: Intent): Omit<WireIntent, "$typeName"> {
  return { ...names, ttl: durationFromMs(ttl), latestExpiry: timestampFromMs(latestExpiry) };
}

function plainParts(material: Material): readonly string[] {
  return [...fieldsOf(material).values()].filter((part) => typeof part === "string");
}
