import { open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { ProviderContext, Rotation } from "../../src/lease/provider.ts";
import type { Secret } from "../../src/secret.ts";
import type { PostgresConfig } from "./config.ts";
import { nextPassword, nextPath, privateText } from "./identity.ts";
import { newPassword, verifierOf } from "./scram.ts";
import { converse, type Server, type Session } from "./session.ts";

const statement = z.object({ ddl: z.string() });

/** The broker's own password, where it has one: it makes the next, and nobody ever sees it. */
export function rotationOf(config: PostgresConfig, context: ProviderContext): { readonly rotation?: Rotation } {
  const path = config.login.password_file;
  if (path === undefined) return {};
  return { rotation: { names: ["login"], rotate: (_, { signal }) => rotate({ config, context, signal }, path) } };
}

/**
 * The next password is in a file beside the old one before the server hears of it, and takes its place only once the server has let us in
 * with it. Whatever happens between, one of the two files holds the one that is good; `converse` tries the second where the first fails.
 */
async function rotate(server: Server, path: string): Promise<void> {
  await settle(server, path);
  const next = newPassword();
  try {
    await keepBeside(path, next);
    const verifier = await verifierOf(next);
    await converse(server, (session) => change(session, verifier)).catch(async (error: unknown) => {
      if ((await settle(server, path)) !== "taken") throw error;
    });
    if ((await settle(server, path)) === "kept")
      throw new BrokerError("internal", "the server does not take the login's new password, so the old one is kept");
  } finally {
    next.wipe();
  }
}

async function change(session: Session, verifier: string): Promise<void> {
  const build = "SELECT format('ALTER ROLE %I PASSWORD %L', session_user, $1::text) AS ddl";
  const [built] = await session.ask(statement, build, [verifier]);
  if (built !== undefined) await session.act(built.ddl);
}

/** What waits beside takes its place if it lets us in, and goes if the old one still does. Where neither does, nothing is touched. */
async function settle(server: Server, path: string): Promise<"none" | "taken" | "kept"> {
  const waiting = await nextPassword(path);
  if (waiting === undefined) return "none";
  const refusal = await letsIn(server, waiting);
  if (refusal === undefined) {
    await rename(nextPath(path), path);
    await syncFolder(path);
    return "taken";
  }
  const wrong = await letsIn(server, await privateText(path));
  if (wrong !== undefined) throw wrong;
  await unlink(nextPath(path));
  return "kept";
}

async function letsIn(server: Server, password: Secret): Promise<Error | undefined> {
  return converse(server, () => Promise.resolve(undefined), { password }).catch((error: unknown) =>
    error instanceof Error ? error : new Error(String(error)),
  );
}

async function keepBeside(path: string, password: Secret): Promise<void> {
  try {
    const file = await open(nextPath(path), "wx", 0o600);
    try {
      await password.use((bytes) => file.writeFile(bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    await syncFolder(path);
  } catch {
    throw new BrokerError("provider-refused", "the login's new password cannot be kept, so nothing was changed", {
      hint: `the broker's user must be able to write beside ${path}, where the new password waits as ${nextPath(path)}`,
    });
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
