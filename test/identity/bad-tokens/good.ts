import type { Trust } from "../../../src/identity/identity.ts";
import { audience, githubClaims, headerOf, seconds } from "../issuer.ts";
import type { Make } from "./bad-token.ts";
import { genericToken, githubToken, issuers, keys, signedBy, without } from "./makers.ts";
import { enterpriseToken } from "./meaning.ts";
import { largestGood } from "./shapes.ts";
import { tokenOfGoodKey } from "./weak-keys.ts";

/** A control: what the stage's bad tokens are made from, and their good neighbours. */
export interface GoodToken {
  readonly name: string;
  readonly make: Make;
  readonly trust: Trust;
}

const good = (name: string, make: Make): GoodToken => ({ name, make, trust: "protected" });
const claims = (name: string, changes: Readonly<Record<string, unknown>>): GoodToken => good(name, () => githubToken(changes));

export const goodTokens: readonly GoodToken[] = [
  claims("GitHub's own sample", {}),
  claims("one audience in a list", { aud: [audience] }),
  claims("nbf before iat, as GitHub writes it", { nbf: seconds(-3_600) }),
  claims("no nbf", without("nbf")),
  claims("expired within the skew", { iat: seconds(-310), exp: seconds(-29) }),
  claims("issued ahead of us, within the skew", { iat: seconds(30), nbf: seconds(30), exp: seconds(320) }),
  claims("the longest lifetime", { exp: seconds(900) }),
  claims("renamed: the id stays", {
    repository: "octo-org/other-name",
    job_workflow_ref: "octo-org/octo-repo/.github/workflows/e.yml@refs/heads/main",
  }),
  claims("a dispatch on the protected branch", { event_name: "workflow_dispatch" }),
  claims("another actor of the list", { actor_id: "13" }),
  claims("claims that nobody can match on", { nested: { a: 1 }, nothing: null, mixed: ["a", 1] }),
  claims("two hundred groups", { groups_direct: Array.from({ length: 200 }, (_, nth) => `group/${nth}`) }),
  claims("16 levels", { nested: JSON.parse(`${"[".repeat(15)}${"]".repeat(15)}`) as unknown }),
  claims("letters beyond ASCII", { actor: "Mønå 😀" }),
  good("a typ in small letters", () => githubToken({}, { typ: "jwt" })),
  good("no typ", () => githubToken({}, { typ: undefined })),
  good("a thumbprint of the certificate", () => githubToken({}, { x5t: "abc" })),
  good("a key that does not say its algorithm", () => signedBy(keys.plain, headerOf(keys.plain), githubClaims(issuers.github))),
  good("just below 8 KiB", () => largestGood()),
  good("the enterprise server, under the same kid", () => enterpriseToken()),
  good("an access token", () => genericToken()),
  good("a type with its prefix", () => genericToken({}, { typ: "application/at+jwt" })),
  good("a number as an id", () => genericToken({ project: 20, job: 302 })),
  good("12 KiB where the profile allows it", () => genericToken({ padding: "a".repeat(8_500) })),
  { name: "a good key among those that must not be used", make: tokenOfGoodKey, trust: "unknown" },
];
