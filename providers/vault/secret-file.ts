import { BrokerError } from "../../src/errors.ts";
import { readPrivate } from "../../src/key-file.ts";
import { Secret } from "../../src/secret.ts";
import type { Envelope, VaultClient } from "./client.ts";
import type { HostLogin } from "./config.ts";

/** What a wrapping token holds, and where the answer that it wraps must have been made. */
interface Wrapped {
  readonly madeAt: RegExp;
  readonly inside: (answer: Envelope) => unknown;
}

/**
 * The host's own secret in a file: a secret id or a token, read anew each time, so that whoever replaces the file rotates it. It may be
 * wrapped: then the file holds a token that opens once. That is for the way from whoever made the secret to this host: a thief who opens it
 * first is noticed, since it does not open again, and whoever reads the file later has nothing.
 */
export class SecretFile {
  readonly #path: string;
  readonly #wrapped: Wrapped | undefined;
  #opened: { readonly wrapping: Secret; readonly content: Promise<Secret> } | undefined;

  constructor(login: HostLogin) {
    this.#path = login.method === "approle" ? login.secret_id_file : login.token_file;
    this.#wrapped = login.wrapped ? wrappedFor(login) : undefined;
  }

  /** `client` must not give up with one job: what it opens serves all of them. */
  async read(client: VaultClient): Promise<Secret> {
    const text = await fileText(this.#path);
    if (this.#wrapped === undefined) return text;
    if (this.#opened?.wrapping.equals(text) !== true) this.#opened = { wrapping: text, content: this.#open(client, text) };
    const { content } = this.#opened;
    // Tried again: where it did happen and its answer was lost, Vault says so from then on.
    content.catch(() => {
      if (this.#opened?.content === content) this.#opened = undefined;
    });
    return content;
  }

  async #open(client: VaultClient, text: Secret): Promise<Secret> {
    const { madeAt, inside } = this.#wrapped ?? { madeAt: /^$/, inside: () => undefined };
    const token = text.use((bytes) => bytes.toString("utf8"));
    client.hide(token);
    const { data } = await client.write("sys/wrapping/lookup", { token });
    const path = data?.["creation_path"];
    if (typeof path !== "string" || !madeAt.test(path)) {
      throw new BrokerError("provider-refused", "the wrapping token holds something else than the login needs", {
        hint: "somebody may have put another token there: find out who before you replace it",
        detail: "vault: the wrapping token was made at another path",
      });
    }
    const content = inside(await client.as(token).write("sys/wrapping/unwrap", {}));
    if (typeof content !== "string" || content === "") throw new Error("the wrapped answer does not hold what the login needs");
    return Secret.of(content);
  }
}

function wrappedFor({ method, ...login }: HostLogin): Wrapped {
  if (method === "token") return { madeAt: /^auth\/token\/create(\/|-orphan$|$)/, inside: ({ auth }) => auth?.client_token };
  const mount = "mount" in login ? login.mount : "approle";
  return { madeAt: new RegExp(`^auth/${escaped(mount)}/role/[^/]+/secret-id$`), inside: ({ data }) => data?.["secret_id"] };
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Refused, not thrown as it is: whatever is wrong with the file, certainly nothing was asked of Vault. */
async function fileText(path: string): Promise<Secret> {
  const text = await readPrivate(path).catch((error: unknown) => {
    throw unreadable(error instanceof BrokerError ? error.message : "it cannot be read", error);
  });
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") throw unreadable("there is no such file, or nothing in it");
  return Secret.of(trimmed);
}

function unreadable(why: string, cause?: unknown): BrokerError {
  return new BrokerError("provider-refused", "the broker's own login to vault cannot be read", {
    hint: "the login's file must be the broker's own, of mode 0600, and hold the secret alone",
    detail: `vault: ${why}`,
    cause,
  });
}
