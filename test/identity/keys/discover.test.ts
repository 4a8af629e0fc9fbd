import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { discoverKeys } from "../../../src/identity/keys/discover.ts";
import { readRegularFile } from "../../../src/identity/keys/file.ts";
import { type Fetch, issuerFetch } from "../../../src/identity/keys/network.ts";
import { troubleOf } from "../../../src/identity/keys/trouble.ts";
import type { KeySource } from "../../../src/identity/profile.ts";
import { ecKey } from "../issuer.ts";
import { selfSigned } from "./certificate.ts";
import { profileOf } from "./key-rows/stage.ts";

const key = ecKey("k");
const token = "eyJhbGciOi.JSUzI1.NiJ9-a_bearer";

/** Two HTTPS servers with one authority: a cluster's, and the one that its document names. */
interface Secure extends AsyncDisposable {
  readonly url: string;
  readonly seen: { readonly path: string; readonly authorization: string | undefined }[];
}

async function startSecure(certificate: { readonly key: string; readonly cert: string }, jwks: () => string): Promise<Secure> {
  const seen: Secure["seen"] = [];
  const server = createServer(certificate, (request, response) => {
    const { url: path = "", headers } = request;
    seen.push({ path, authorization: headers.authorization });
    const body = path === "/jwks" ? { keys: [key.jwk] } : { issuer: url, jwks_uri: jwks() };
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, seen, [Symbol.asyncDispose]: async () => void (await new Promise((done) => server.close(done))) };
}

let folder: string;
let bearer: string;
let authority: string;
let cluster: Secure;
let other: Secure;
let jwks: string;

beforeAll(async () => {
  const certificate = await selfSigned();
  authority = certificate.cert;
  cluster = await startSecure(certificate, () => jwks);
  other = await startSecure(certificate, () => "");
  folder = await mkdtemp(join(tmpdir(), "mayfly-bearer-"));
  bearer = join(folder, "token");
});
afterAll(async () => {
  await Promise.all([cluster, other].map((server) => server[Symbol.asyncDispose]()));
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  for (const { seen } of [cluster, other]) seen.length = 0;
  jwks = `${cluster.url}/jwks`;
  await writeFile(bearer, `${token}\n`);
});

async function read(
  source: Partial<Extract<KeySource, { kind: "discovery" }>> | KeySource = {},
  fetch: Fetch = issuerFetch,
): Promise<string> {
  const discovery = { kind: "discovery", authority, allowPrivate: true, bearer, ...source } as const;
  const keys = "kind" in source && source.kind !== undefined ? { ...discovery, ...source } : discovery;
  const profile = { ...profileOf(cluster.url), keys };
  try {
    const set = await discoverKeys(profile, { fetch, readFile: readRegularFile }, AbortSignal.timeout(5_000));
    return [...set.byKid.keys()].join();
  } catch (error) {
    const { kind, why } = troubleOf(error);
    return `${kind}: ${why}`;
  }
}

const shown = [
  { path: "/.well-known/openid-configuration", authorization: `Bearer ${token}` },
  { path: "/jwks", authorization: `Bearer ${token}` },
];

describe("a bearer token for an issuer's keys", () => {
  it("is shown for the document and for the keys", async () => {
    expect(await read()).toBe("k");
    expect(cluster.seen).toEqual(shown);
  });

  it("is shown for keys at a URL of their own", async () => {
    expect(await read({ kind: "url", url: `${cluster.url}/jwks`, authority, allowPrivate: true, bearer })).toBe("k");
    expect(cluster.seen).toEqual(shown.slice(1));
  });

  it("is never shown to another server, even though the issuer's document names it", async () => {
    jwks = "https://elsewhere.example/jwks";
    const asked: [url: string, bearer: boolean, allowPrivate: boolean][] = [];
    const fetch: Fetch = (url, options) => {
      asked.push([url, options.bearer !== undefined, options.allowPrivate]);
      return url === jwks ? Promise.resolve(Buffer.from(JSON.stringify({ keys: [key.jwk] }))) : issuerFetch(url, options);
    };
    expect(await read({}, fetch)).toBe("k");
    expect(asked).toEqual([
      [`${cluster.url}/.well-known/openid-configuration`, true, true],
      [jwks, false, false],
    ]);
  });

  it("is not shown where none is configured", async () => {
    expect(await read({ bearer: undefined })).toBe("k");
    expect(cluster.seen.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  });

  it("is read anew for each attempt", async () => {
    await read();
    await writeFile(bearer, "another.token");
    await read();
    expect(cluster.seen.at(-1)?.authorization).toBe("Bearer another.token");
  });

  it("is never sent over plain http", async () => {
    const url = cluster.url.replace("https:", "http:");
    expect(await read({ kind: "url", url: `${url}/jwks`, authority, allowPrivate: true, bearer })).toBe(
      "unreachable: a bearer token is shown over https only",
    );
  });

  it.each([
    ["nothing", ""],
    ["two lines", `${token}\r\nX-Admin: yes`],
    ["two words", "Bearer token"],
    ["what no header may hold", "tök"],
  ])("is refused where its file holds %s, and its content is not told", async (_, content) => {
    await writeFile(bearer, content);
    expect(await read()).toBe("unreachable: the bearer token's file holds no bearer token");
    expect(cluster.seen).toEqual([]);
  });

  it("is refused where its file is missing or too long", async () => {
    const why = "unreachable: the bearer token's file cannot be read";
    expect(await read({ bearer: join(folder, "missing") })).toBe(why);
    await writeFile(bearer, "a".repeat(16_385));
    expect(await read()).toBe(why);
  });
});

describe("an issuer's certificate", () => {
  it("is checked against its authority; of what is wrong with it only the code is told", async () => {
    expect(await read({ authority: (await selfSigned()).cert })).toMatch(
      /^unreachable: no answer could be read \((DEPTH_ZERO_SELF_SIGNED_CERT|CERT_SIGNATURE_FAILURE)\)$/,
    );
    expect(await read({ authority: undefined })).toBe("unreachable: no answer could be read (DEPTH_ZERO_SELF_SIGNED_CERT)");
  });
});

describe("an issuer at https", () => {
  it("whose document names keys at plain http is refused, even where plain http is allowed", async () => {
    jwks = "http://127.0.0.1:1/jwks";
    expect(await read()).toBe("refused: the discovery document names keys that are not at https");
  });
});

describe("an issuer at a private address", () => {
  it.each([
    ["another server of its host", () => `${other.url}/jwks`],
    ["its host by another name", () => cluster.url.replace("127.0.0.1", "localhost")],
    ["another private host", () => "https://10.255.255.1/jwks"],
  ])("cannot send the broker to %s", async (_, named) => {
    jwks = named();
    expect(await read()).toBe("unreachable: a private address is not allowed");
    expect(cluster.seen).toEqual(shown.slice(0, 1));
    expect(other.seen).toEqual([]);
  });

  it("may have its keys at another one, where mayfly.yaml itself names that", async () => {
    expect(await read({ kind: "url", url: `${other.url}/jwks`, authority, allowPrivate: true, bearer: undefined })).toBe("k");
    expect(other.seen).toEqual([{ path: "/jwks", authorization: undefined }]);
  });
});
