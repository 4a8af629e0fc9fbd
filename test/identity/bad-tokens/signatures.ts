import { githubClaims, headerOf, part } from "../issuer.ts";
import { type BadToken, bad } from "./bad-token.ts";
import {
  type Changes,
  genericClaims,
  genericHeader,
  genericToken,
  githubToken,
  inputOf,
  issuers,
  keys,
  signatureOf,
  signedBy,
} from "./makers.ts";

/** The order of P-256's group. */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function number(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex");
}

function signedWith(signature: Uint8Array): string {
  return `${part(genericHeader)}.${part(genericClaims())}.${Buffer.from(signature).toString("base64url")}`;
}

const pair = (r: bigint, s: bigint) => () => signedWith(Buffer.concat([number(r), number(s)]));

function changed(change: (signature: Buffer) => Uint8Array): string {
  const token = genericToken();
  const signature = Buffer.from(signatureOf(token), "base64url");
  return `${inputOf(token)}.${Buffer.from(change(signature)).toString("base64url")}`;
}

function der(signature: Buffer): Buffer {
  const integer = (bytes: Buffer): Buffer => {
    const shown = (bytes[0] ?? 0) > 127 ? Buffer.concat([Buffer.of(0), bytes]) : bytes;
    return Buffer.concat([Buffer.of(2, shown.length), shown]);
  };
  const body = Buffer.concat([integer(signature.subarray(0, 32)), integer(signature.subarray(32))]);
  return Buffer.concat([Buffer.of(0x30, body.length), body]);
}

const degenerate = bad("J-18", "token-signature", {
  "(0, 0)": pair(0n, 0n),
  "(0, 1)": pair(0n, 1n),
  "(1, 0)": pair(1n, 0n),
  "(1, 1)": pair(1n, 1n),
  "(n, n)": pair(order, order),
  "(n - 1, n - 1)": pair(order - 1n, order - 1n),
  "(0, n)": pair(0n, order),
  "ASN.1 instead of two numbers": () => changed(der),
  "a byte too short": () => changed((signature) => signature.subarray(1)),
  "a byte too long": () => changed((signature) => Buffer.concat([signature, Buffer.of(0)])),
  "r and s exchanged": () => changed((signature) => Buffer.concat([signature.subarray(32), signature.subarray(0, 32)])),
  "r made negative": () =>
    changed((signature) => {
      const r = BigInt(`0x${signature.subarray(0, 32).toString("hex")}`);
      return Buffer.concat([number(order - r), signature.subarray(32)]);
    }),
  "one byte": () => changed(() => Buffer.of(0)),
  "a signature of RSA's length": () => changed(() => Buffer.alloc(256, 1)),
  "zeros under RSA": () => `${inputOf(githubToken())}.${Buffer.alloc(256).toString("base64url")}`,
  "ones under RSA": () => `${inputOf(githubToken())}.${Buffer.alloc(256, 0xff).toString("base64url")}`,
  "another token's signature": () => `${inputOf(githubToken({ actor: "eve" }))}.${signatureOf(githubToken())}`,
});

/** What an issuer signs: its key, its header, and its claims. */
const sources: Readonly<Record<string, { readonly iss: string; sign(iss: string): string }>> = {
  GitHub: { iss: issuers.github, sign: (iss) => signedBy(keys.github, headerOf(keys.github), githubClaims(iss)) },
  "the enterprise server": {
    iss: issuers.enterprise,
    sign: (iss) => signedBy(keys.enterprise, headerOf(keys.enterprise), githubClaims(iss)),
  },
  "the issuer of access tokens": {
    iss: issuers.generic,
    sign: (iss) => signedBy(keys.generic, genericHeader, genericClaims({ iss })),
  },
  "an issuer with a shared key set": {
    iss: issuers.shared,
    sign: (iss) => signedBy(keys.shared, headerOf(keys.shared), sharedClaims({ iss })),
  },
};

function sharedClaims(changes: Changes = {}): Changes {
  return genericClaims({ iss: issuers.shared, aud: "https://broker.example/shared", jti: crypto.randomUUID(), ...changes });
}

/** Every ordered pair: a token of one, with the other's name. The access tokens are told by their `typ` before their key is looked for. */
const mixed = Object.entries(sources).flatMap(([from, { sign }]) =>
  Object.entries(sources)
    .filter(([to]) => to !== from)
    .flatMap(([to, { iss }]) =>
      bad("J-20", [from, to].includes("the issuer of access tokens") ? "token-malformed" : "token-signature", {
        [`${from}'s key, ${to}'s name`]: () => sign(iss),
      }),
    ),
);

const discovered = bad("J-20", "issuer-unavailable", {
  "a discovery document that speaks for another issuer": (stage) => stage.discovered("liar"),
  "a discovery document behind a redirect": (stage) => stage.discovered("redirects"),
  "a key set behind a redirect": (stage) => stage.discovered("redirects-keys"),
});

export const signatureTokens: readonly BadToken[] = [
  ...degenerate,
  ...mixed,
  ...discovered,
  ...bad("J-20", "token-audience", {
    "two issuers with one key set: the one's token, made for the other's audience": () =>
      signedBy(keys.shared, headerOf(keys.shared), sharedClaims({ iss: issuers.sharing })),
  }),
];
