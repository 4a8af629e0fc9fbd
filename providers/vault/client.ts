import NodeVault from "node-vault";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Secret } from "../../src/secret.ts";
import { type Clock, within } from "../../src/time.ts";
import type { VaultConfig } from "./config.ts";
import { type HttpAnswer, NeverSent, send } from "./http.ts";

/** Vault's answer to everything (facts E.1); what we do not use is not looked at. */
const envelope = z.object({
  /** In every answer but an empty one: what lacks it does not come from Vault. */
  request_id: z.string(),
  lease_id: z.string().default(""),
  lease_duration: z.number().int().nonnegative().default(0),
  data: z.record(z.string(), z.unknown()).nullish(),
  auth: z
    .object({
      client_token: z.string().min(1),
      accessor: z.string(),
      policies: z.array(z.string()).nullish(),
      lease_duration: z.number().int().nonnegative(),
      token_type: z.string(),
    })
    .nullish(),
});

const empty = { request_id: "" };

export type Envelope = z.output<typeof envelope>;
export type Auth = NonNullable<Envelope["auth"]>;

export interface ClientParts {
  readonly config: VaultConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * One conversation with Vault, for one lease: node-vault keeps a token inside its client, so a shared one would let jobs act as
 * each other. Every method rejects with `provider-refused` or `provider-unavailable` only where Vault certainly did nothing,
 * and with any other error where it may have.
 */
export class VaultClient {
  readonly #parts: ClientParts;
  readonly #vault: NodeVault.client;
  /** What must not be in any error's text, in case Vault repeats it. */
  readonly #sent: string[] = [];

  constructor(parts: ClientParts) {
    this.#parts = parts;
    const transport = { defaults: () => (request: unknown) => this.#send(request) };
    const vault = NodeVault({
      endpoint: parts.config.address,
      noCustomHTTPVerbs: true,
      // With DEBUG=node-vault it prints request bodies.
      debug: () => undefined,
      // Its own transport follows redirects with the token, and obeys proxy variables and VAULT_SKIP_VERIFY.
      "request-promise": transport,
    });
    // What is not given it takes from VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX; overwritten, they are nobody's.
    this.#vault = Object.assign(vault, { token: "", namespace: parts.config.namespace ?? "", pathPrefix: "" });
  }

  /** Logs in with a proof of ours and speaks as that role from then on. Not `jwtLogin`: that one renders its path through a template. */
  async login(role: string, proof: Secret): Promise<Auth> {
    const jwt = proof.use((bytes) => bytes.toString("utf8"));
    this.#sent.push(jwt);
    const { auth } = await this.write(`auth/${this.#parts.config.login.mount}/login`, { role, jwt });
    if (auth === null || auth === undefined) throw new Error("the login's answer holds no token");
    this.#sent.push(auth.client_token);
    this.#vault.token = auth.client_token;
    return auth;
  }

  read(path: string): Promise<Envelope> {
    return this.#call(() => this.#vault.read(encoded(path)));
  }

  write(path: string, data: Readonly<Record<string, unknown>>): Promise<Envelope> {
    return this.#call(() => this.#vault.write(encoded(path), data));
  }

  /** The keys below a path; none where there is no such path. */
  async list(path: string): Promise<readonly string[]> {
    const found = await this.#call(() => this.#vault.list(encoded(path))).catch(ifAbsent);
    return z.array(z.string()).parse(found?.data?.["keys"] ?? []);
  }

  async #call(ask: () => Promise<unknown>): Promise<Envelope> {
    const answer = envelope.safeParse(await ask().catch((error: unknown) => this.#fail(error)));
    // zod's own error would name what it read.
    if (!answer.success) throw new Error("the answer is not one of Vault's");
    return answer.data;
  }

  async #send(request: unknown): Promise<{ statusCode: number; body: unknown; request: { path: string } }> {
    const { uri, method, headers, json } = asked.parse(request);
    const url = new URL(uri);
    const { status, body } = await this.#timed((signal) =>
      send({ url, method, headers, json, authority: this.#parts.authority, signal }),
    );
    return { statusCode: status, body: status === 204 ? empty : body, request: { path: url.pathname } };
  }

  async #timed(work: (signal: AbortSignal) => Promise<HttpAnswer>): Promise<HttpAnswer> {
    const { clock, config, signal } = this.#parts;
    const late = new AbortController();
    const answer = work(AbortSignal.any([signal, late.signal]));
    const timedOut = (): Promise<HttpAnswer> => {
      late.abort();
      return answer;
    };
    return within(clock, config.timeout, answer, timedOut);
  }

  #fail(error: unknown): never {
    if (error instanceof NeverSent)
      throw new BrokerError("provider-unavailable", undefined, { detail: `vault: ${error.message}` });
    const failure = refusal.safeParse(error);
    if (!failure.success) throw error;
    const { statusCode, body } = failure.data.response;
    throw this.#refused(statusCode, body?.errors ?? []);
  }

  /** 429 and 503 (sealed, standby) and a standby's redirect did nothing; a 5xx may have (facts E.1). */
  #refused(status: number, errors: readonly string[]): Error {
    const detail = `vault: status ${status}: ${this.#scrubbed(errors.join("; "))}`;
    if (status === 429 || status === 503 || (status >= 300 && status < 400))
      return new BrokerError("provider-unavailable", undefined, { detail });
    if (status >= 400 && status < 500)
      return new BrokerError("provider-refused", undefined, { detail, cause: new Status(status, errors) });
    return new Error(detail);
  }

  #scrubbed(text: string): string {
    return this.#sent.reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), text).slice(0, 500);
  }
}

/** What node-vault hands its transport. */
const asked = z.object({
  uri: z.string(),
  method: z.string(),
  headers: z.record(z.string(), z.string()),
  json: z.unknown().optional(),
});

/** What node-vault rejects with when the status is neither 200 nor 204. */
const refusal = z.object({
  response: z.object({
    statusCode: z.number(),
    body: z
      .object({ errors: z.array(z.string()).optional() })
      .nullish()
      .catch(undefined),
  }),
});

/** Which refusal it was, for those who can tell one from another. */
export class Status extends Error {
  override readonly name = "Status";
  readonly status: number;
  readonly #errors: readonly string[];

  constructor(status: number, errors: readonly string[]) {
    super(`status ${status}`);
    this.status = status;
    this.#errors = errors;
  }

  says(words: string): boolean {
    return this.#errors.some((error) => error.includes(words));
  }
}

export function statusOf(error: unknown): Status | undefined {
  return error instanceof BrokerError && error.cause instanceof Status ? error.cause : undefined;
}

function ifAbsent(error: unknown): undefined {
  if (statusOf(error)?.status !== 404) throw error;
}

/** Each segment by itself: a `?`, a `#` or a `%` in a name stays part of the name. */
function encoded(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
