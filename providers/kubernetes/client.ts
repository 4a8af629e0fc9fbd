import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { readPrivate } from "../../src/key-file.ts";
import { ask, type Explained, type JsonAnswer } from "../../src/lease/http.ts";
import type { Proof } from "../../src/lease/provider.ts";
import type { Clock } from "../../src/time.ts";
import type { KubernetesConfig, Shown } from "./config.ts";

export interface ClientParts {
  readonly config: KubernetesConfig;
  readonly shown: Shown;
  /** PEM. */
  readonly authority: string | undefined;
  readonly clock: Clock;
}

export interface Speaking {
  readonly proof: Proof;
  readonly signal: AbortSignal;
}

export interface Call {
  readonly method: "POST" | "DELETE";
  /** Below `/api/v1/`. */
  readonly path: string;
  readonly body?: unknown;
  /** What is an answer beside 2xx. */
  readonly also?: readonly number[];
}

/** One conversation with the API server, for one lease. */
export interface Client {
  call(request: Call): Promise<JsonAnswer>;
}

export async function openClient(
  { config, shown, authority, clock }: ClientParts,
  { proof, signal }: Speaking,
): Promise<Client> {
  signal.throwIfAborted();
  const token = "audience" in shown ? textOf(await proof.token(shown.audience)) : await tokenIn(shown.tokenFile);
  const explain = (status: number, body: unknown): Explained => explained(status, wordsOf(body, token), shown);
  const upstream = { name: "kubernetes", clock, timeout: config.timeout, explain };
  return {
    call: ({ method, path, body, also }) => {
      const url = new URL(`${config.server.replace(/\/+$/, "")}/api/v1/${path}`);
      const headers = {
        authorization: `Bearer ${token}`,
        "user-agent": "mayfly",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      };
      const sent = body === undefined ? {} : { body: JSON.stringify(body) };
      return ask(upstream, { method, url, headers, authority, signal, ...sent }, also);
    },
  };
}

function textOf(secret: Awaited<ReturnType<Proof["token"]>>): string {
  return secret.use((bytes) => bytes.toString("utf8"));
}

/** Refused, not thrown as it is: whatever is wrong with the file, certainly nothing was asked of the API server. */
async function tokenIn(path: string): Promise<string> {
  const refused = (why: string): BrokerError =>
    new BrokerError("provider-refused", "the broker's own token for kubernetes cannot be read", {
      hint: "token_file must be a file of the broker's own, of mode 0600, that holds the token alone; a mounted one is named below its ..data folder",
      detail: `kubernetes: token_file: ${why}`,
    });
  const text = await readPrivate(path).catch((error: unknown) => {
    throw refused(error instanceof BrokerError ? error.message : "it cannot be read");
  });
  const token = text?.trim() ?? "";
  // Anything else would not even make a header.
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) throw refused(text === undefined ? "there is no such file" : "it holds no token");
  return token;
}

const refusal = z.object({ message: z.string() });

/** The API server's own words, for the operator's log. What was sent must not be in them. */
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

/** What an operator does next about the usual refusals. None of the API server's words, no name and no value is in a hint. */
const usual: readonly Usual[] = [
  // A webhook's word comes as 403, a ValidatingAdmissionPolicy's as 422.
  ...[403, 422].map((status) => ({
    status,
    words: /denied (?:the )?request/,
    message: "a policy of the cluster refuses the credential",
    hint: "an admission policy or webhook refused it: the operator's log has its words",
  })),
  {
    status: 403,
    words: /being terminated/i,
    message: "the namespace is being deleted",
    hint: "wait until it is gone, and make it anew",
  },
  {
    status: 403,
    message: "kubernetes does not let the broker do this",
    hint: "minting needs create on serviceaccounts/token for this account, and create and delete on secrets in its namespace; ending needs delete on secrets",
  },
  {
    status: 404,
    words: /namespaces? /,
    message: "there is no such namespace",
    hint: "check the template's namespace, and the provider's server",
  },
  { status: 404, message: "there is no such service account", hint: "check the template's service_account and namespace" },
  { status: 422, message: "kubernetes does not take the request", hint: "the operator's log has its words" },
  { status: 429, hint: "the API server is overloaded, or its priority and fairness leave the broker too little" },
  { status: 503, hint: "the API server is starting, or has lost its etcd" },
];

const unknownBroker: Usual = {
  status: 401,
  message: "kubernetes does not know the broker",
  hint: "the API server's AuthenticationConfiguration must name the issuer that `mayfly keys show` prints and this provider's audience, must reach the issuer's URL, and its clock must be right",
};

const unknownHost: Usual = {
  status: 401,
  message: "kubernetes does not know the broker",
  hint: "the token in token_file has expired, was made for another audience or cluster, or its service account is gone",
};

function explained(status: number, detail: string, shown: Shown): Explained {
  const unknown = "audience" in shown ? unknownBroker : unknownHost;
  const found = status === 401 ? unknown : usual.find((one) => one.status === status && (one.words?.test(detail) ?? true));
  if (found === undefined) return { detail };
  const { message, hint } = found;
  return { detail, hint, ...(message === undefined ? {} : { message }) };
}
