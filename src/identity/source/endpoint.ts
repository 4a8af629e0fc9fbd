import { isPrivate } from "../keys/addresses.ts";

/** What asking an endpoint takes. Node's own `fetch` fits. */
export type AskEndpoint = (
  url: string,
  options: {
    readonly method: "GET" | "POST";
    readonly headers: Readonly<Record<string, string>>;
    readonly redirect: "error";
    readonly signal: AbortSignal;
  },
) => Promise<{ readonly status: number; text(): Promise<string> }>;

/** Why no token came, in our own words: what an endpoint or a program says is not repeated. */
export class NoToken extends Error {
  override readonly name = "NoToken";
}

/** Whose an endpoint must be before the job's request token is shown to it. */
export interface Home {
  /** The CI system's own URL, from a variable that no step of a job can set; undefined where there is none. */
  readonly server: string | undefined;
  /** Whether a host is the vendor's own, whatever a variable says. */
  readonly isVendors: (host: string) => boolean;
}

/**
 * The URL that asks for a token. A variable of a job can come from strangers (a step that writes a pull request's title to
 * `$GITHUB_ENV`), and with the request token anybody has tokens for any audience: so it goes to the CI system's own origin or its
 * vendor's hosts alone, encrypted, unless the whole system is plain http at a private address. Throws `NoToken`.
 */
export function ownAddress(given: string, home: Home, query: Readonly<Record<string, string>>): string {
  if (!URL.canParse(given)) throw new NoToken("the address to ask is no URL");
  const url = new URL(given);
  if (!isHome(url, home))
    throw new NoToken(`the address to ask, at ${url.host}, is not the CI system's own, so it was not asked`);
  if (url.protocol !== "https:" && !isPrivate(url.hostname.replace(/^\[|\]$/g, "")))
    throw new NoToken(`the address to ask, at ${url.host}, is reached by plain http, so it was not asked`);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  url.hash = "";
  return url.href;
}

function isHome(url: URL, { server, isVendors }: Home): boolean {
  if (!/^https?:$/.test(url.protocol)) return false;
  if (url.origin === originOf(server)) return true;
  return url.protocol === "https:" && url.port === "" && isVendors(url.hostname);
}

/** Undefined for what is no URL. */
export function originOf(text: string | undefined): string | undefined {
  return text !== undefined && URL.canParse(text) ? new URL(text).origin : undefined;
}

export interface Question {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
}

/** The answer's text. Whoever asks was sent nowhere else: a redirect is no answer. Throws `NoToken`. */
export async function answerTo(question: Question, fetch: AskEndpoint, signal: AbortSignal): Promise<string> {
  const { url, ...rest } = question;
  const lost = (cause: unknown): never => {
    throw new NoToken("its endpoint cannot be reached, or sends elsewhere", { cause });
  };
  const answer = await fetch(url, { ...rest, redirect: "error", signal }).catch(lost);
  if (answer.status !== 200) throw new NoToken(`its endpoint answered with status ${answer.status}`);
  return answer.text().catch(lost);
}

/** One member of an answer in JSON. Throws `NoToken`. */
export function memberOf(text: string, member: string): string {
  const parsed = parsedJson(text);
  const members: readonly [string, unknown][] = typeof parsed === "object" && parsed !== null ? Object.entries(parsed) : [];
  const found = members.find(([name]) => name === member)?.[1];
  if (typeof found !== "string" || found === "") throw new NoToken("its endpoint answered without a token");
  return found;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
