import { HttpResponse } from "@smithy/protocol-http";
import { BrokerError } from "../../src/errors.ts";
import { type HttpAnswer, NeverSent, timed } from "../../src/lease/http.ts";
import type { Secret } from "../../src/secret.ts";
import type { Clock } from "../../src/time.ts";
import { type AwsConfig, endpointOf, type Service, signingRegion } from "./config.ts";
import { isBusy, sentenceOf } from "./refusals.ts";

export interface Parts {
  readonly config: AwsConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What the SDK hands its request handler; only what we use. */
interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/**
 * One call of one SDK client, over our own connection: it alone knows whether anything was sent and what was answered, and from that follows
 * what may be claimed. A client is made for each call, with one attempt, and reads nothing from the environment but, where nothing else is
 * said, the host's own credentials.
 */
export class Wire {
  readonly #parts: Parts;
  readonly #service: Service;
  /** What must not be in any error's text, in case AWS repeats it: it quotes a request whose signature it does not like. */
  readonly #sent: string[] = [];
  #outcome: "unasked" | "never-sent" | "lost" | number = "unasked";
  #answer: HttpAnswer | undefined;

  constructor(parts: Parts, service: Service) {
    this.#parts = parts;
    this.#service = service;
  }

  /** For a client's constructor. */
  get client() {
    return {
      region: signingRegion(this.#parts.config, this.#service),
      endpoint: endpointOf(this.#parts.config, this.#service),
      useFipsEndpoint: false,
      useDualstackEndpoint: false,
      maxAttempts: 1,
      retryMode: "standard",
      defaultsMode: "standard",
      logger: silent,
      requestHandler: {
        handle: async (request: SdkRequest) => ({ response: await this.#handle(request) }),
        updateHttpClientConfig: () => undefined,
        httpHandlerConfigs: () => ({}),
        metadata: { handlerProtocol: "http/1.1" },
      },
    } as const;
  }

  hides(...secrets: readonly (Secret | string | undefined)[]): void {
    for (const secret of secrets)
      if (secret !== undefined && secret !== "")
        this.#sent.push(typeof secret === "string" ? secret : secret.use((bytes) => bytes.toString("utf8")));
  }

  /** What the SDK made of the answer; else an error in the joint's own words, without the SDK's, which carries the answer. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#told(error);
    } finally {
      this.#answer?.bytes.fill(0);
    }
  }

  async #handle(request: SdkRequest): Promise<HttpResponse> {
    const { config, clock, authority, signal } = this.#parts;
    this.#outcome = "lost";
    try {
      const { method, headers } = request;
      const body = bodyOf(request.body);
      const sent = { method, url: urlOf(request), headers, authority, signal, ...(body === undefined ? {} : { body }) };
      this.#answer = await timed({ name: this.#service, clock, timeout: config.timeout }, sent);
    } catch (error) {
      if (error instanceof NeverSent) this.#outcome = "never-sent";
      throw error;
    }
    const { status, headers, bytes } = this.#answer;
    this.#outcome = status;
    return new HttpResponse({ statusCode: status, headers: flat(headers), body: bytes });
  }

  #told(error: unknown): Error {
    const outcome = this.#outcome;
    const { code, words } = wordsOf(error);
    if (typeof outcome === "number") return this.#answered(outcome, code, words);
    if (outcome === "never-sent") return this.#certain("provider-unavailable", words);
    if (outcome === "lost") return new Error(`${this.#service}: ${words}`);
    return error instanceof Error ? error : new Error("the request could not be made");
  }

  #answered(status: number, code: string, words: string): Error {
    // A page that is no answer of AWS's: what the SDK says of it quotes it.
    if (status < 300) return new Error(`${this.#service}: the answer cannot be read`);
    const detail = `status ${status}: ${this.#scrubbed(`${code}: ${words}`)}`;
    if (status < 400 || status === 429 || status === 503 || isBusy(code))
      return this.#certain("provider-unavailable", detail, code);
    if (status >= 500) return new Error(`${this.#service}: ${detail}`);
    return this.#certain("provider-refused", detail, code, words);
  }

  #certain(kind: "provider-refused" | "provider-unavailable", detail: string, code = "", words = ""): BrokerError {
    const said = sentenceOf(this.#service, code, words);
    return new BrokerError(kind, said?.message, {
      detail: `${this.#service}: ${detail}`,
      ...(said?.hint === undefined ? {} : { hint: said.hint }),
      cause: new Refusal(code),
    });
  }

  #scrubbed(text: string): string {
    return this.#sent.reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), text).slice(0, 500);
  }
}

/** Which refusal it was, for those who can tell one from another. */
class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

export function refusalOf(error: unknown): string | undefined {
  return error instanceof BrokerError && error.cause instanceof Refusal ? error.cause.code : undefined;
}

/** The SDK warns on the console unless it has a logger of somebody's. */
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

function nothing(): void {
  // The broker's own log says what is worth saying.
}

/** AWS's name for it, and its sentence; of an answer that the SDK could not read there is neither. */
function wordsOf(error: unknown): { code: string; words: string } {
  if (!(error instanceof Error)) return { code: "", words: "an unknown error" };
  const isTheirs = "$fault" in error && error.message !== "UnknownError";
  const fromUs = !("$fault" in error) && !("$response" in error) && !("$responseBodyText" in error);
  return { code: isTheirs ? error.name.replace(/Exception$/, "") : "", words: isTheirs || fromUs ? error.message : "" };
}

function urlOf({ protocol, hostname, port, path, query = {} }: SdkRequest): URL {
  const url = new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}${path}`);
  for (const [name, values] of Object.entries(query))
    for (const value of [values ?? ""].flat()) url.searchParams.append(name, value);
  return url;
}

function bodyOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || typeof body === "string" || body instanceof Uint8Array) return body;
  throw new Error("the SDK's request is no text");
}

function flat(headers: HttpAnswer["headers"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]),
  );
}
