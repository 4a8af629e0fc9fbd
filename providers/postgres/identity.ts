import { readFile } from "node:fs/promises";
import { BrokerError } from "../../src/errors.ts";
import { readPrivate } from "../../src/key-file.ts";
import type { ProviderContext } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import { minute } from "../../src/time.ts";
import type { PostgresConfig } from "./config.ts";

/** Who the broker is to the server, with everything read that is in files. */
export interface Identity {
  readonly user: string;
  readonly password: Secret | undefined;
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

/** Read anew for each connection, so that whoever replaces a file rotates it. `password` stands in for that of the file. */
export async function identityOf(
  { login, ca, allow_plaintext }: PostgresConfig,
  { authority, clock, as }: ProviderContext,
  password?: Secret,
): Promise<Identity> {
  const { user, password_file, certificate, key } = login;
  const trust = ca === undefined ? {} : { ca: await publicText(ca) };
  if (password_file !== undefined)
    return { user, password: password ?? (await privateText(password_file)), tls: allow_plaintext ? undefined : trust };
  if (certificate !== undefined && key !== undefined) {
    const own = { cert: await publicText(certificate), key: (await privateText(key)).use(String) };
    return { user, password: undefined, tls: { ...trust, ...own } };
  }
  if (as !== "broker") throw unreadable("the login has neither a password nor a certificate");
  const uri = "mayfly://provider/postgres";
  const made = await authority.issueCertificate({ serial: "01", commonName: user, uri, notAfter: clock.now() + 2 * minute });
  return { user, password: undefined, tls: { ...trust, cert: made.certificate, key: made.privateKey.use(String) } };
}

async function publicText(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => {
    throw unreadable(`${path} cannot be read`);
  });
}

export async function privateText(path: string): Promise<Secret> {
  const text = await readPrivate(path).catch((error: unknown) => {
    throw unreadable(`${path}: ${error instanceof BrokerError ? error.message : "it cannot be read"}`);
  });
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") throw unreadable(`${path}: there is no such file, or nothing in it`);
  return Secret.of(trimmed);
}

/** Where a new password waits until the server is known to take it. */
export function nextPath(path: string): string {
  return `${path}.next`;
}

export async function nextPassword(path: string): Promise<Secret | undefined> {
  const text = (await readPrivate(nextPath(path)).catch(() => undefined))?.trim() ?? "";
  return text === "" ? undefined : Secret.of(text);
}

/** Refused, not thrown as it is: whatever is wrong with a file, certainly nothing was asked of the server. */
function unreadable(why: string): BrokerError {
  return new BrokerError("provider-refused", "the broker's own login to PostgreSQL cannot be read", {
    hint: "its files must be there; those with a password or a key must be the broker's own, of mode 0600",
    detail: `postgres: ${why}`,
  });
}
