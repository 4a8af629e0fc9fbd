import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { type HttpAnswer, jsonOf, NeverSent, timed } from "../../src/lease/http.ts";
import type { Clock } from "../../src/time.ts";
import type { VaultConfig } from "./config.ts";
import { hintOf } from "./hints.ts";

/** Vault's answer to everything (facts E.1); what we do not use is not looked at. */
const envelope = z.object({
  /** In every answer but an empty one: what lacks it does not come from Vault. */
  request_id: z.string(),
  lease_id: z.string().default(""),
  lease_duration: z.number().int().nonnegative().default(0),
  data: z.record(z.string(), z.unknown()).nullish(),
  auth: z
    .object({
      client_token: z.string(),
      accessor: z.string(),
      policies: z.array(z.string()).nullish(),
      lease_duration: z.number().int().nonnegative(),
      renewable: z.boolean().default(false),
      token_type: z.string(),
      orphan: z.boolean().default(false),
    })
    .nullish(),
});

export type Envelope = z.output<typeof envelope>;
export type Auth = NonNullable<Envelope["auth"]>;

/** Done, or (202) taken on: with nothing to say. */
const empty: Envelope = { request_id: "", lease_id: "", lease_duration: 0 };

export interface ClientParts {
  readonly config: VaultConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * One conversation with Vault, for one lease and as one token. Every method rejects with `provider-refused` or
 * `provider-unavailable` only where Vault certainly did nothing, and with any other error where it may have.
 */
export class VaultClient {
  readonly #parts: ClientParts;
  readonly #token: string | undefined;
  /** What must not be in any error's text, in case Vault repeats it. */
  readonly #sent: Set<string>;

  constructor(parts: ClientParts, token?: string, sent: ReadonlySet<string> = new Set()) {
    this.#parts = parts;
    this.#token = token;
    this.#sent = new Set(token === undefined ? sent : [...sent, token]);
  }

  /** The same conversation as somebody else. */
  as(token: string): VaultClient {
    return new VaultClient(this.#parts, token, this.#sent);
  }

  /** Kept out of every error from now on. */
  hide(secret: string): void {
    this.#sent.add(secret);
  }

  read(path: string): Promise<Envelope> {
    return this.#ask("GET", encoded(path));
  }

  write(path: string, data: Readonly<Record<string, unknown>>): Promise<Envelope> {
    return this.#ask("POST", encoded(path), JSON.stringify(data));
  }

  /** The keys below a path; none where there is no such path. */
  async list(path: string): Promise<readonly string[]> {
    const found = await this.#ask("GET", `${encoded(path)}?list=true`).catch(ifAbsent);
    return z.array(z.string()).parse(found?.data?.["keys"] ?? []);
  }

  /** The token of an answer that must hold one. */
  async tokenFrom(path: string, data: Readonly<Record<string, unknown>>): Promise<Auth> {
    const { auth } = await this.write(path, data);
    if (auth === null || auth === undefined || auth.client_token === "") throw new Error("vault's answer holds no token");
    return auth;
  }

  async #ask(method: string, path: string, body?: string): Promise<Envelope> {
    const { config, clock, authority, signal } = this.#parts;
    const url = new URL(`${config.address.replace(/\/+$/, "")}/v1/${path}`);
    const request = { method, url, headers: this.#headers(body), authority, signal, ...(body === undefined ? {} : { body }) };
    const answer = await timed({ name: "vault", clock, timeout: config.timeout }, request).catch((error: unknown) => {
      if (!(error instanceof NeverSent)) throw error;
      throw new BrokerError("provider-unavailable", undefined, { detail: `vault: ${error.message}` });
    });
    return this.#read(answer);
  }

  /** Nothing of the environment: neither VAULT_TOKEN nor VAULT_NAMESPACE nor a proxy. */
  #headers(body: string | undefined): Readonly<Record<string, string>> {
    const { namespace } = this.#parts.config;
    return {
      "x-vault-request": "true",
      ...(this.#token === undefined ? {} : { "x-vault-token": this.#token }),
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
  }

  #read(answer: HttpAnswer): Envelope {
    const { status } = answer;
    if (status < 200 || status >= 300) throw this.#refused(status, errorsIn(answer));
    if (answer.bytes.length === 0 && (status === 202 || status === 204)) return empty;
    const read = envelope.safeParse(jsonOf(answer));
    // zod's own error would name what it read.
    if (!read.success) throw new Error("the answer is not one of Vault's");
    return read.data;
  }

  /** 429 and 503 (sealed, standby) and a standby's redirect did nothing; a 5xx may have (facts E.1). */
  #refused(status: number, errors: readonly string[]): Error {
    const detail = `vault: status ${status}: ${this.#scrubbed(errors.join("; "))}`;
    if (status < 300 || status >= 500) {
      if (status !== 503) return new Error(detail);
    }
    const hint = hintOf(status, errors);
    const parts = { detail, cause: new Status(status, errors), ...(hint === undefined ? {} : { hint }) };
    const down = status < 400 || status === 429 || status === 503;
    return new BrokerError(down ? "provider-unavailable" : "provider-refused", undefined, parts);
  }

  #scrubbed(text: string): string {
    return [...this.#sent].reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), text).slice(0, 500);
  }
}

const refusal = z.object({ errors: z.array(z.string()) });

function errorsIn(answer: HttpAnswer): readonly string[] {
  try {
    return refusal.safeParse(jsonOf(answer)).data?.errors ?? [];
  } catch {
    return [];
  }
}

/** Which refusal it was, for those who can tell one from another. Its words stay hidden: they may repeat what was sent. */
class Status extends Error {
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
