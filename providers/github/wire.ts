import type { IncomingHttpHeaders } from "node:http";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { ask, type Explained, type JsonAnswer } from "../../src/lease/http.ts";
import type { Clock, Duration } from "../../src/time.ts";
import type { GithubConfig } from "./config.ts";

export interface Parts {
  readonly config: GithubConfig;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
}

export interface Call {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below the API's address, without a slash first. */
  readonly path: string;
  /** Whom GitHub sees: the App, or what it gave. */
  readonly token: string;
  /** Its name goes into the `user_agent` of GitHub's audit log. */
  readonly lease: string;
  readonly body?: string;
  readonly timeout: Duration;
  readonly signal: AbortSignal;
}

/** Answers that are looked at here: with their headers they tell more than `ask` can. */
const looked = [401, 403, 404, 422];

/** Resolves for 2xx, and for 401 where that is an answer; throws what the joint asks for. */
export async function call(
  { config, authority, clock }: Parts,
  request: Call,
  expects: "done" | "done or 401",
): Promise<JsonAnswer> {
  const { method, path, token, lease, body, timeout, signal } = request;
  const explain = (status: number, told: unknown): Explained => explained(status, {}, wordsOf(told, token));
  const answer = await ask(
    { name: "github", clock, timeout, explain },
    {
      method,
      url: new URL(`${config.address.replace(/\/+$/, "")}/${path}`),
      headers: {
        authorization: `Bearer ${token}`,
        accept: "application/vnd.github+json",
        "x-github-api-version": "2022-11-28",
        // GitHub answers nobody without one.
        "user-agent": `mayfly (${lease})`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      authority,
      signal,
      ...(body === undefined ? {} : { body }),
    },
    looked,
  );
  const { status, headers } = answer;
  if (status < 300) return answer;
  const words = wordsOf(answer.body, token);
  // Only GitHub's own word for it: anything in between may say 401 too.
  if (expects === "done or 401" && status === 401 && words === "Bad credentials") return answer;
  const { message, hint = "" } = explained(status, headers, words);
  const parts = { detail: `github: status ${status}: ${words}`, hint };
  throw new BrokerError(isThrottled(status, headers) ? "provider-unavailable" : "provider-refused", message, parts);
}

/** A limit that is used up comes as 403 too (GitHub, "Rate limits for the REST API"). */
function isThrottled(status: number, headers: IncomingHttpHeaders): boolean {
  return status === 403 && (headers["retry-after"] !== undefined || headers["x-ratelimit-remaining"] === "0");
}

const refusal = z.object({ message: z.string() });

/** GitHub's own words, for the operator's log. What was sent must not be in them. */
function wordsOf(body: unknown, token: string): string {
  const words = refusal.safeParse(body).data?.message ?? "";
  return words.replaceAll(token, "[secret]").slice(0, 500);
}

interface Usual {
  readonly status: number;
  readonly words?: RegExp;
  readonly message?: string;
  readonly hint: string;
}

/** What an operator does next about GitHub's usual refusals. None of GitHub's words is in a hint. */
const usual: readonly Usual[] = [
  {
    status: 401,
    words: /\('(?:exp|iat)'\)/,
    hint: "the clocks of this host and of GitHub differ by a minute or more: check NTP",
  },
  {
    status: 401,
    hint: "key_file must be a key of the App that `app` names, and must not have been deleted in the App's settings",
  },
  { status: 403, words: /suspended/i, hint: "the installation is suspended: whoever owns the organization can lift that" },
  { status: 403, words: /IP allow list/i, hint: "the organization's IP allow list lacks this host's address" },
  { status: 403, hint: "the App may not do this here: see its settings and the organization's" },
  { status: 404, hint: "`app` or `installation` is not the right one, or the App was uninstalled" },
  {
    status: 422,
    words: /permission/i,
    hint: "the App was not given every permission that the template asks for, or a change of its permissions waits for the organization's approval",
  },
  {
    status: 422,
    words: /repositor/i,
    hint: "the installation lacks one of the template's repositories: add it in the installation's settings",
  },
  { status: 422, hint: "check the template's repositories and permissions: GitHub does not understand them" },
  { status: 429, hint: "the App's rate limit is used up, so its tokens must be asked for more slowly" },
];

const throttled: Usual = {
  status: 403,
  message: "github takes no more requests at the moment",
  hint: "the App's rate limit is used up, so its tokens must be asked for more slowly",
};

function explained(status: number, headers: IncomingHttpHeaders, words: string): Explained {
  const found = isThrottled(status, headers)
    ? throttled
    : usual.find((one) => one.status === status && (one.words?.test(words) ?? true));
  if (found === undefined) return { detail: words };
  const { message, hint } = found;
  return { detail: words, hint, ...(message === undefined ? {} : { message }) };
}
