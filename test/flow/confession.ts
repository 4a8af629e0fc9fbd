import { createPrivateKey } from "node:crypto";
import { chownSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { until, users } from "./world.ts";

/** Hears a job's credentials from the job itself, over a socket in its workspace, and keeps them in this process's memory only. */
export class Confession implements AsyncDisposable {
  readonly #told = new Map<string, Buffer>();
  readonly #waiting: ServerResponse[] = [];
  readonly #server = createServer((request, response) => void this.#hear(request, response));

  static async in(workspace: string): Promise<Confession> {
    const confession = new Confession();
    const socket = join(workspace, "canary.sock");
    await new Promise<void>((resolve) => confession.#server.listen(socket, resolve));
    // A job can write to nothing in its workspace that is not its runner's, and connecting is writing.
    chownSync(socket, users.runner, users.runner);
    return confession;
  }

  async #hear(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === "/wait") {
      this.#waiting.push(response);
      return;
    }
    this.#told.set(request.url ?? "", await buffer(request));
    response.end();
  }

  /** What the job told, once it waits for `goOn`. */
  async all(): Promise<readonly Buffer[]> {
    await until(() => this.#waiting.length > 0, 30_000);
    return [...this.#told].flatMap(([path, content]) => secretPartsOf(path, content));
  }

  goOn(): void {
    for (const response of this.#waiting.splice(0)) response.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** What is common to all of a kind, or said elsewhere, is no secret: of a JWT only the signature is, of a key its scalar. */
function secretPartsOf(path: string, content: Buffer): readonly Buffer[] {
  const text = content.toString("latin1").trim();
  if (path.endsWith("/token")) return [Buffer.from(text.split(".")[2] ?? "", "latin1")];
  return path.endsWith("/key.pem") ? scalarOf(text) : [Buffer.from(text, "latin1")];
}

/** As bytes, and as the file has it: the characters of its base64 that are made of nothing else. */
function scalarOf(pem: string): readonly Buffer[] {
  const scalar = Buffer.from(createPrivateKey(pem).export({ format: "jwk" }).d ?? "", "base64url");
  const body = pem.replaceAll(/-----[A-Z ]+-----\n?/g, "");
  const at = Buffer.from(body, "base64").indexOf(scalar);
  const places = [...body].flatMap((character, index) => (character === "\n" ? [] : [index]));
  const [first, last] = [Math.ceil((at * 8) / 6), Math.floor(((at + scalar.length) * 8) / 6)];
  return [scalar, Buffer.from(body.slice(places[first], places[last]), "latin1")];
}

/** The beginning of a job's script: it tells its credentials, then waits until the test has looked around. */
export const confess = `
cd /run/mayfly/credentials
ask() { curl --silent --show-error --fail --unix-socket /workspace/canary.sock "$@"; }
for file in */key.pem */token */password; do ask --data-binary "@$file" "http://canary/$file"; done
ask http://canary/wait
`;

/** Every credential in the forms that the masker knows, to both streams; and a crash with one in memory. */
export const printEverything = `
bytes() { od -An -v -tx1 -w100000 "$1"; }
for file in */key.pem */token */password; do
  cat "$file"; echo
  cat "$file" >&2; echo >&2
  base64 -w0 "$file"; echo
  { printf x; cat "$file"; } | base64 -w0; echo
  { printf xy; cat "$file"; } | base64 -w0; echo
  { printf x; cat "$file"; printf yz; } | base64 -w0 | tr '+/' '-_'; echo
  bytes "$file" | tr -d ' '
  bytes "$file" | tr -d ' ' | tr a-f A-F
  bytes "$file"
  bytes "$file" | tr ' ' ':'
  perl -0pe 's/([^A-Za-z0-9_.~-])/sprintf("%%%02X", ord $1)/ge' "$file"; echo
  perl -0pe 's/([^A-Za-z0-9_.~-])/sprintf("%%%02x", ord $1)/ge' "$file"; echo
  perl -0pe 's/\\n/\\\\n/g' "$file"; echo
done
sh -c 'read -r secret <db/password; cd /workspace; kill -SEGV $$' || true
`;
