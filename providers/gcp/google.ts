import { ask } from "../../src/lease/http.ts";
import type { Secret } from "../../src/secret.ts";
import type { Clock } from "../../src/time.ts";
import { addressOf, type GcpConfig, type Service } from "./config.ts";
import { explained } from "./refusals.ts";

export interface GoogleParts {
  readonly config: GcpConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface Question {
  readonly service: Service;
  readonly path: string;
  /** Of a regional service. */
  readonly location?: string | undefined;
  readonly bearer?: Secret;
  /** Left out, it is a GET. */
  readonly body?: { readonly type: string; readonly text: string };
}

/** One conversation with Google, for one lease. What was sent in it is in no error, in case Google repeats it. */
export class Google {
  readonly parts: GoogleParts;
  readonly #sent: string[] = [];

  constructor(parts: GoogleParts) {
    this.parts = parts;
  }

  hides(text: string): void {
    this.#sent.push(text);
  }

  /** The answer's JSON. Every error is in the joint's own words. */
  async ask({ service, path, location, bearer, body }: Question): Promise<unknown> {
    const { config, clock, authority, signal } = this.parts;
    const upstream = {
      name: service,
      clock,
      timeout: config.timeout,
      explain: (_: number, said: unknown) => explained(service, said, (text) => this.#scrubbed(text)),
    };
    const token = bearer?.use((bytes) => bytes.toString("utf8"));
    if (token !== undefined) this.hides(token);
    const headers = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": body.type }),
    };
    const sent = body === undefined ? { method: "GET" } : { method: "POST", body: body.text };
    const answer = await ask(upstream, {
      ...sent,
      url: addressOf(config, service, path, location),
      headers,
      authority,
      signal,
    });
    return answer.body;
  }

  #scrubbed(text: string): string {
    return this.#sent.reduce((clean, secret) => clean.replaceAll(secret, "[secret]"), text).slice(0, 500);
  }
}
