import { signedBy } from "../../identity/bad-tokens/makers.ts";
import { pick, type Random, whole } from "./chance.ts";
import { anything, escaped, type Operator } from "./operator.ts";

type Members = Readonly<Record<string, unknown>>;

/** Signed by the issuer itself, which never writes such a thing: only the rules can refuse it. */
function misguided(
  change: (header: Members, claims: Members, random: Random) => readonly [header: unknown, payload: unknown],
): Operator {
  return ({ source }, random) => signedBy(source.key, ...change(source.header, source.claims(), random));
}

const misguidedClaims = (change: (claims: Members, random: Random) => Members): Operator =>
  misguided((header, claims, random) => [header, change(claims, random)]);
const misguidedText = (change: (text: string, random: Random) => string | Uint8Array): Operator =>
  misguided((header, claims, random) => [header, change(JSON.stringify(claims), random)]);
const misguidedHeader = (change: (header: Members, random: Random) => Members): Operator =>
  misguided((header, claims, random) => [change(header, random), claims]);

const withMember = (text: string, member: string, random: Random): string =>
  random() < 0.5 ? text.replace("{", `{${member},`) : text.replace(/}$/, `,${member}}`);
const memberOf = (text: string, random: Random): string => pick(random, Object.keys(JSON.parse(text) as object));

export const misguidedSignatures: Readonly<Record<string, Operator>> = {
  "signed: a member twice": misguidedText((text, random) =>
    withMember(text, `"${memberOf(text, random)}":${JSON.stringify(anything(random))}`, random),
  ),
  "signed: a member twice, once with an escape": misguidedText((text, random) => {
    const name = memberOf(text, random);
    return withMember(text, `"${escaped(name)}${name.slice(1)}":"x"`, random);
  }),
  "signed: a header member twice": misguided((header, claims, random) => {
    const text = JSON.stringify(header);
    return [withMember(text, `"${memberOf(text, random)}":"x"`, random), claims];
  }),
  "signed: __proto__": misguidedText((text, random) =>
    withMember(text, pick(random, ['"__proto__":{}', '"\\u005f_proto__":1']), random),
  ),
  "signed: too deep": misguidedText((text, random) => {
    const depth = 17 + whole(random, 40);
    return withMember(text, `"x":${"[".repeat(depth)}${"]".repeat(depth)}`, random);
  }),
  "signed: a control character": misguidedText((text, random) =>
    withMember(text, `"x":"${pick(random, ["\\u0000", "\\n", "\\u001b", "\x7f", "\u0085"])}"`, random),
  ),
  "signed: a lone surrogate": misguidedText((text, random) =>
    withMember(text, `"x":"${pick(random, ["\\ud800", "\\udfffx"])}"`, random),
  ),
  "signed: no UTF-8": misguidedText((text, random) =>
    Buffer.concat([
      Buffer.from(text).subarray(0, -1),
      Buffer.from(',"x":"'),
      Buffer.of(0x80 + whole(random, 128)),
      Buffer.from('"}'),
    ]),
  ),
  "signed: something around the JSON": misguidedText((text, random) =>
    pick(random, [`\ufeff${text}`, `${text}x`, `${text}{}`, `[${text}]`, `${text}\0`, text.slice(0, -1)]),
  ),
  "signed: a number that a double cannot hold": misguidedText((text, random) =>
    withMember(text, `"x":${pick(random, ["9007199254740993", "1e308", "-1e309", "123456789012345678901234567890"])}`, random),
  ),
  "signed: a header member that nobody expects": misguidedHeader((header, random) => ({
    ...header,
    [pick(random, ["jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty", "enc", "p2c"])]: anything(random),
  })),
  "signed: another typ": misguidedHeader((header, random) => ({
    ...header,
    typ: pick<unknown>(random, ["JWE", "secevent+jwt", "at+jwt+x", "", 7, null, "dpop+jwt"]),
  })),
  "signed: a kid that is not there": misguidedHeader((header, random) => ({
    ...header,
    kid: pick<unknown>(random, ["", 7, null, [], {}, "../x", "k1 ", undefined, "x".repeat(300)]),
  })),
  "signed: another alg": misguidedHeader((header, random) => ({
    ...header,
    alg: pick<unknown>(random, ["RS512", "PS256", "ES384", "HS256", "none", "", null, undefined, "Ed25519"]),
  })),
  "signed: a time of another type": misguidedClaims((claims, random) => ({
    ...claims,
    [pick(random, ["exp", "iat"])]: pick<unknown>(random, ["1790000000", null, 0.5, -1, [], 1e13, undefined, true]),
  })),
  "signed: out of its time": misguidedClaims((claims, random) => {
    const moved = pick(random, [-1, 1]) * (4_000 + whole(random, 1e6));
    return {
      ...claims,
      iat: Number(claims["iat"]) + moved,
      nbf: Number(claims["iat"]) + moved,
      exp: Number(claims["exp"]) + moved,
    };
  }),
  "signed: too long a life": misguidedClaims((claims, random) => ({
    ...claims,
    exp: Number(claims["iat"]) + 3_601 + whole(random, 1e8),
  })),
  "signed: another audience": misguidedClaims((claims, random) => {
    const [own] = [claims["aud"]].flat();
    return {
      ...claims,
      aud: pick<unknown>(random, [
        [own, "x"],
        [],
        `${String(own)}/`,
        String(own).toUpperCase(),
        null,
        7,
        [own, own],
        undefined,
      ]),
    };
  }),
  "signed: another issuer": misguidedClaims((claims, random) => {
    const iss = String(claims["iss"]);
    return {
      ...claims,
      iss: pick<unknown>(random, [
        `${iss}/`,
        ` ${iss}`,
        iss.toUpperCase(),
        iss.replace("https:", "http:"),
        `${iss}.evil.test`,
        `${iss}@evil.test`,
        [iss],
        null,
        undefined,
      ]),
    };
  }),
  "signed: another subject": misguidedClaims((claims, random) => ({
    ...claims,
    sub: pick<unknown>(random, ["*", "repo:*", "", 7, null, [], {}, undefined]),
  })),
  "signed: an id of another type": (draft, random) => {
    const change = (claims: Members): Members => ({
      ...claims,
      [pick(random, draft.source.ids)]: pick<unknown>(random, ["", null, true, [], ["20"], {}, undefined]),
    });
    return misguidedClaims(change)(draft, random);
  },
  "signed: too long": misguidedClaims((claims, random) => ({ ...claims, x: "x".repeat(6_200 + whole(random, 4_000)) })),
};
