import { trusts } from "../language/template.ts";
import type { IssuerRoom } from "../rooms.ts";
import type { Node } from "./node.ts";

/** A `who` line's text: `*` anywhere, `**` only at the end and after a separator. */
const text: Node = {
  type: "string",
  pattern: String.raw`^(?:(?:(?:[^*]|\*(?!\*))*[/:])?\*\*|(?:[^*]|\*(?!\*))*)$`,
};

const claimName: Node = { type: "string", pattern: String.raw`^[\x21-\x7e]{1,128}$` };

export function oneOrSeveral(value: Node): Node {
  return { anyOf: [value, { type: "array", minItems: 1, items: value }] };
}

const value: Node = {
  anyOf: [text, { type: "boolean" }, { type: "array", minItems: 1, items: { anyOf: [text, { type: "boolean" }] } }],
};

/** What a line accepts, and what bounds accept of an option. */
export const accepted: Node = { $ref: "#/$defs/accepted" };

/** `who`, alone or as several that must all hold. */
export const whoNode: Node = oneOrSeveral({ $ref: "#/$defs/who" });

const trust: Node = oneOrSeveral({ type: "string", enum: trusts.filter((one) => one !== "unknown") });

/**
 * What these two refer to. `issuers`: those whose claims are completed; `named`: whether one of them must be named. A claim's name and what it
 * is for stand in each of the three objects, since an editor completes only what stands there.
 */
export function whoDefinitions(issuers: ReadonlyMap<string, IssuerRoom>, named: boolean): Readonly<Record<string, Node>> {
  const issuer: Node = named ? { type: "string", enum: [...issuers.keys()] } : { type: "string", pattern: "^[a-z][a-z0-9-]*$" };
  const claims = claimNodes([...issuers.values()], accepted);
  const lines = {
    ...claims,
    trust: { description: trustWords, ...trust },
    not: { description: "None of these values, or the claim is not there.", $ref: "#/$defs/not" },
    absent: {
      description: "Claims that the token must not have at all; an empty one is there.",
      ...oneOrSeveral({ ...claimName, not: { enum: ["issuer", "trust"] } }),
    },
  };
  return {
    accepted: value,
    not: claimsOnly({
      issuer: { description: "None of these issuers.", ...oneOrSeveral(issuer) },
      ...claims,
      trust: { description: "None of these.", ...trust },
    }),
    alternative: claimsOnly({ ...lines, issuer: false, any: false }),
    who: claimsOnly({
      issuer: { description: "The CI system that signed the token, as mayfly.yaml calls it.", ...oneOrSeveral(issuer) },
      ...lines,
      any: {
        description: "Alternatives, at least one of which must hold as a whole.",
        type: "array",
        minItems: 1,
        items: { $ref: "#/$defs/alternative" },
      },
    }),
  };
}

const trustWords =
  "How far the CI system vouches for the code that runs, derived from the token; `unknown` can never be asked for.";

function claimsOnly(properties: Readonly<Record<string, Node | boolean>>): Node {
  return { type: "object", minProperties: 1, propertyNames: claimName, properties, additionalProperties: accepted };
}

/** The claims of a policy test's token: values of any shape that a token can have, and null for none. */
export function claimsNode(issuers: ReadonlyMap<string, IssuerRoom>): Node {
  const claim: Node = { $ref: "#/$defs/claim" };
  return {
    type: "object",
    propertyNames: claimName,
    properties: claimNodes([...issuers.values()], claim),
    additionalProperties: claim,
  };
}

/** Every claim that one of the issuers is known to send, so that an editor can complete it. */
function claimNodes(issuers: readonly IssuerRoom[], of: Node): Readonly<Record<string, Node>> {
  const names = new Set(issuers.flatMap(({ claims, names: labels, known }) => [...claims, ...labels, ...(known ?? [])]));
  const lines = [...names].filter((name) => !name.endsWith("*") && !tokens.includes(name)).toSorted();
  return Object.fromEntries(lines.map((name) => [name, { description: claimWords(name, issuers), ...of }]));
}

/** What is each token's own, and so nobody's line. */
const tokens: readonly string[] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

function claimWords(name: string, issuers: readonly IssuerRoom[]): string {
  const of = (list: keyof Pick<IssuerRoom, "claims" | "names">) =>
    [...new Set(issuers.filter((issuer) => issuer[list].includes(name)).map(({ preset }) => preset))].join(", ");
  const [ids, labels] = [of("claims"), of("names")];
  const said = [
    ids === "" ? "" : `Says whose job it is (${ids}): a template names such a claim in full, in quotes.`,
    labels === "" ? "" : `A name (${labels}): somebody else has it once it is given up, so it decides nothing alone.`,
  ].filter((sentence) => sentence !== "");
  return said.length === 0 ? "A claim of the token." : said.join(" ");
}
