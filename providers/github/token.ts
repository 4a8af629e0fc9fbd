import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { type Duration, type Instant, within } from "../../src/time.ts";
import { appToken } from "./app.ts";
import { bodyOf, type Level, type Scope } from "./options.ts";
import { call, type Parts } from "./wire.ts";

/** A clock there may be this far ahead of ours. */
const skew: Duration = 5_000;

export interface Asked {
  readonly scope: Scope;
  readonly lease: string;
  /** The token must be dead by then. */
  readonly until: Instant;
  readonly signal: AbortSignal;
}

export interface Given {
  readonly token: string;
  readonly expiresAt: Instant;
}

/** Opaque: 40 characters in one format of GitHub's, several hundred in another. */
const holder = z.object({ token: z.string().regex(/^[\x21-\x7e]{20,8192}$/) });

const answered = z.object({
  expires_at: z.iso.datetime({ offset: true }),
  permissions: z.record(z.string(), z.string()),
  repository_selection: z.string(),
  repositories: z.array(z.object({ id: z.int(), name: z.string() })),
});

type Answered = z.output<typeof answered>;

/**
 * A token of the installation for exactly this scope. What is more, lives longer or is for somebody else is ended and refused. Nobody can
 * ask GitHub for a token whose answer was lost, so whoever stops waiting leaves somebody behind who ends it when it comes.
 */
export async function createToken(parts: Parts, asked: Asked): Promise<Given> {
  const { signal, lease, scope } = asked;
  const app = await appToken(parts.config, parts.clock);
  signal.throwIfAborted();
  const { installation, timeout } = parts.config;
  const path = `app/installations/${installation}/access_tokens`;
  const request = { method: "POST", path, token: app, lease, body: bodyOf(scope) } as const;
  // Not the caller's signal: the connection stays open for an answer that comes late.
  const answer = call(parts, { ...request, timeout: timeout + lateness, signal: new AbortController().signal }, "done").then(
    ({ body }) => ({ token: tokenIn(body), body }),
  );
  const { token, body } = await inTime(parts, answer, signal).catch((error: unknown) => {
    answer.then(({ token: late }) => endToken(parts, late, lease)).catch(() => undefined);
    throw error;
  });
  try {
    return { token, expiresAt: checked(body, asked, parts.clock.now()) };
  } catch (error) {
    // It stays unknown to the broker all the same: nobody could find it if this failed.
    await endToken(parts, token, lease).catch(() => undefined);
    throw error;
  }
}

/** How much longer than the timeout a late answer is waited for, in order to end what it brings. */
const lateness: Duration = 20_000;

async function inTime<T>({ clock, config }: Parts, work: Promise<T>, signal: AbortSignal): Promise<T> {
  const done = new AbortController();
  const left = new Promise<never>((_, reject) => {
    const leave = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
    signal.addEventListener("abort", leave, { once: true, signal: done.signal });
    if (signal.aborted) leave();
  });
  const late = (): never => {
    throw new Error("github: the answer did not come in time");
  };
  return within(clock, config.timeout, Promise.race([work, left]), late).finally(() => done.abort());
}

function tokenIn(body: unknown): string {
  const read = holder.safeParse(body);
  // zod's own error would name what it read.
  if (!read.success) throw new Error("github: the answer holds no token");
  return read.data.token;
}

/** When it expires. Throws `provider-broken-promise` for anything but what was asked. */
function checked(body: unknown, { scope, until }: Asked, now: Instant): Instant {
  const read = answered.safeParse(body);
  if (!read.success) throw broken("github does not say what its token is for");
  checkScope(read.data, scope);
  const expiresAt = Date.parse(read.data.expires_at);
  if (!(expiresAt > now)) throw broken("github gave a token that has expired", clocks);
  if (expiresAt > until + skew) throw broken("github's token lives longer than was asked", clocks);
  return expiresAt;
}

function checkScope({ permissions, repository_selection: selection, repositories }: Answered, asked: Scope): void {
  const wider = Object.entries(permissions).find(([name, level]) => !isAllowed(name, level, asked.permissions));
  if (wider !== undefined) throw broken("github's token may do more than was asked");
  if (selection !== "selected") throw broken("github's token is for all repositories");
  const given = new Set(repositories.map(({ id, name }) => (asked.by === "id" ? String(id) : name.toLowerCase())));
  if (given.size !== asked.repositories.size || ![...given].every((one) => asked.repositories.has(one)))
    throw broken("github's token is for other repositories than was asked");
}

const levels: readonly string[] = ["read", "write", "admin"] satisfies readonly Level[];

/** GitHub adds `metadata: read` to whatever is asked of a repository: nothing works without it. */
function isAllowed(name: string, level: string, asked: Scope["permissions"]): boolean {
  if (!levels.includes(level)) return false;
  if (name === "metadata" && level === "read") return true;
  return Object.hasOwn(asked, name) && levels.indexOf(level) <= levels.indexOf(asked[name] ?? "");
}

/** Ends it, and resolves only when GitHub itself no longer takes it. One that GitHub does not know has ended. */
export async function endToken(
  parts: Parts,
  token: string,
  lease: string,
  signal = new AbortController().signal,
): Promise<void> {
  const common = { token, lease, timeout: parts.config.timeout, signal };
  const { status } = await call(parts, { ...common, method: "DELETE", path: "installation/token" }, "done or 401");
  if (status === 401) return;
  const seen = await call(parts, { ...common, method: "GET", path: "installation/repositories?per_page=1" }, "done or 401");
  if (seen.status !== 401) throw new Error("github still takes the token after revoking it");
}

const clocks =
  "a GitHub token lives an hour by GitHub's clock: check NTP on this host, or leave some seconds of room in the template's ttl";

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}
