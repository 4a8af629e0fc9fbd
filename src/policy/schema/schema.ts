import type { z } from "zod";
import { deniedSchema, grantedSchema, testsSchema } from "../cases/cases.ts";
import { hoursSchema } from "../hours.ts";
import { boundsSchema } from "../language/bounds.ts";
import { setSchema } from "../language/sets.ts";
import { templateSchema, trusts } from "../language/template.ts";
import type { IssuerRoom, ProviderRoom } from "../rooms.ts";
import { described, eachDefinition, eachOf, memberOf, type Node, nodeOf, withEach, withProperties } from "./node.ts";
import { accepted, claimsNode, oneOrSeveral, whoDefinitions, whoNode } from "./who.ts";
import { boundsWords, hoursWords, setWords, templateWords, testWords } from "./words.ts";

/** The files of a templates folder that a person writes. */
export const schemaKinds = ["template", "bounds", "set", "test"] as const;

export type SchemaKind = (typeof schemaKinds)[number];

/** What the other rooms know of a template's parts. */
export interface SchemaSite {
  readonly issuers: ReadonlyMap<string, IssuerRoom>;
  readonly providers: ReadonlyMap<string, Pick<ProviderRoom, "type" | "options">>;
  readonly delivery: z.ZodType;
  readonly isolation: { readonly schema: z.ZodType; readonly bounds: z.ZodType };
  /** Whether these issuers and providers are those of a mayfly.yaml, so that no others can be named. */
  readonly named: boolean;
}

/**
 * The JSON Schema (draft 2020-12) of one kind of file, for editors: made of what the loader itself reads with, so that what loads fits it. What
 * only a whole folder can tell is left to `mayfly check`.
 */
export function jsonSchemaOf(kind: SchemaKind, site: SchemaSite): Node {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", title: titles[kind], ...nodes[kind](site) };
}

const titles: Readonly<Record<SchemaKind, string>> = {
  template: "Mayfly template",
  bounds: "Mayfly bounds",
  set: "Mayfly network set",
  test: "Mayfly policy tests",
};

const nodes: Readonly<Record<SchemaKind, (site: SchemaSite) => Node>> = {
  template: templateNode,
  bounds: boundsNode,
  set: setNode,
  test: testNode,
};

function templateNode(site: SchemaSite): Node {
  const written = nodeOf(templateSchema);
  const { tolerate, limits } = isolationNodes(site.isolation.schema);
  const network = networkNode(["credentials", setName]);
  const byTrust: Node = { type: "object", propertyNames: { enum: trusts }, additionalProperties: limits };
  const steps = memberOf(written, "steps");
  const credentials = memberOf(written, "credentials");
  const whole = withProperties(written, {
    who: whoNode,
    when: oneOrSeveral({ $ref: "#/$defs/hours" }),
    credentials: { ...credentials, additionalProperties: { ...credentialNode(eachOf(credentials), site), ...orNull } },
    steps: { ...steps, minProperties: 1, additionalProperties: { ...withProperties(eachOf(steps), { network }), ...orNull } },
    network,
    sandbox: withProperties(limits, { by_trust: byTrust }),
    tolerate,
  });
  const strict = described(whole, templateWords);
  const unlessExtends = { if: { required: ["extends"] }, else: alone };
  const defined = Object.entries(definitions(site)).map(([name, node]) => [name, withEach(node)] as const);
  const $defs = { ...Object.fromEntries(defined), each: eachDefinition };
  return { ...withProperties(withEach(strict), { for_each: memberOf(strict, "for_each") }), ...unlessExtends, $defs };
}

/** A child's credentials and steps are its base's: there, `db:` with nothing behind it keeps what the base has. */
const orNull = { type: ["object", "null"] };

/** What a template without a base writes out. */
const alone: Node = {
  properties: {
    credentials: { additionalProperties: { type: "object", required: ["provider"] } },
    steps: { additionalProperties: { type: "object" } },
  },
};

/** What the sandbox reads, parted as a template parts it. */
function isolationNodes(schema: z.ZodType): { readonly tolerate: Node; readonly limits: Node } {
  const { default: _, ...isolation } = nodeOf(schema);
  return { tolerate: memberOf(isolation, "tolerate"), limits: withProperties(isolation, { tolerate: undefined }) };
}

const weekday = "(?:mon|tue|wed|thu|fri|sat|sun)";
const clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]";

const hoursNode: Node = withProperties(nodeOf(hoursSchema), {
  days: oneOrSeveral({ type: "string", pattern: `^${weekday}(?:-${weekday})?$` }),
  hours: { type: "string", pattern: `^${clock}-(?:${clock}|24:00)$` },
});

/** What templates and bounds both say. */
function definitions({ issuers, named }: SchemaSite): Readonly<Record<string, Node>> {
  return { ...whoDefinitions(issuers, named), hours: described(hoursNode, hoursWords) };
}

const setName = "set:[a-z0-9][a-z0-9_-]{0,62}";
const label = String.raw`(?:\*|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)`;
const host = String.raw`(?:\[[0-9A-Fa-f:.]+\]|${label}(?:\.${label})*)(?::[0-9]{1,5})?`;

function networkNode(words: readonly string[]): Node {
  return { type: "array", maxItems: 256, items: { type: "string", pattern: `^(?:${[...words, host].join("|")})$` } };
}

/** The common keys, and for each provider that is known the options that its own schema reads. */
function credentialNode(written: Node, { delivery, providers, named }: SchemaSite): Node {
  const { required: _, ...loose } = withProperties(written, { deliver: nodeOf(delivery) });
  if (!named) return loose;
  const common = Object.fromEntries(Object.keys(loose.properties ?? {}).map((key) => [key, {}]));
  const branches = [...providers].map(([name, { options }]) => ({
    if: { properties: { provider: { const: name } }, required: ["provider"] },
    // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema, in an object that nobody awaits
    then: withEach(beside(common, nodeOf(options))),
  }));
  const provider: Node = { type: "string", enum: [...providers.keys()] };
  return { ...withProperties(loose, { provider }), allOf: branches };
}

/** Options stand beside the common keys, which each alternative of theirs must therefore let through. */
function beside(common: Readonly<Record<string, Node>>, options: Node): Node {
  const { anyOf, oneOf } = options;
  const alternatives = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
  if (alternatives === undefined) return withProperties(options, common);
  return { anyOf: alternatives.map((one: Node) => withProperties(one, common)) };
}

function boundsNode(site: SchemaSite): Node {
  const written = nodeOf(boundsSchema);
  const { tolerate, limits } = isolationNodes(site.isolation.bounds);
  const credentials = memberOf(written, "credentials");
  const options: Node = { type: "object", additionalProperties: accepted };
  const provider: Node = site.named ? { type: "string", enum: [...site.providers.keys()] } : { type: "string", minLength: 1 };
  const whole = withProperties(written, {
    who: whoNode,
    when: oneOrSeveral({ $ref: "#/$defs/hours" }),
    credentials: { ...credentials, items: withProperties(eachOf(credentials), { provider, options }) },
    network: networkNode(["credentials", setName]),
    sandbox: limits,
    tolerate,
  });
  return { ...described(whole, boundsWords), $defs: definitions(site) };
}

function setNode(): Node {
  return described(withProperties(nodeOf(setSchema), { hosts: { minItems: 1, ...networkNode([]) } }), setWords);
}

function testNode({ issuers, named }: SchemaSite): Node {
  const written = nodeOf(testsSchema);
  const tests = memberOf(written, "tests");
  const test = eachOf(tests);
  const issuer = named ? { type: "string", enum: [...issuers.keys()] } : memberOf(written, "issuer");
  const claims = claimsNode(issuers);
  const $defs = { claim: eachOf(memberOf(written, "claims")) };
  const expect = { oneOf: [nodeOf(grantedSchema), nodeOf(deniedSchema)] };
  const items = withProperties(test, { issuer, claims, expect });
  return { ...described(withProperties(written, { issuer, claims, tests: { ...tests, items } }), testWords), $defs };
}
