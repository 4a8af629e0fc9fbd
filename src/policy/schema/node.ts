import { z } from "zod";

/** A part of a JSON Schema (draft 2020-12). */
export interface Node {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** What a part is for, by its place: `credentials.*.ttl`, where `*` is any name and `[]` any item. */
export type Words = Readonly<Record<string, Word | undefined>>;

/** The description alone, or with examples. */
export type Word = string | { readonly says: string; readonly examples: readonly unknown[] };

/** What one of our own schemas takes, before defaults and transformations. */
export function nodeOf(schema: z.ZodType): Node {
  const { $schema: _, ...node } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return node;
}

/** The same with some members of an object put in or replaced; undefined takes one away. */
export function withProperties(node: Node, properties: Readonly<Record<string, Node | undefined>>): Node {
  const all = Object.entries<unknown>({ ...node.properties, ...properties }).filter(([, property]) => property !== undefined);
  return { ...node, properties: Object.fromEntries(all) };
}

export function memberOf(node: Node, name: string): Node {
  const member = node.properties?.[name];
  return isNode(member) ? member : {};
}

/** What each item of a list, or each named member of an object, is. */
export function eachOf(node: Node): Node {
  const each = node["items"] ?? node["additionalProperties"];
  return isNode(each) ? each : {};
}

/** Each part that `words` speak of with its description and examples. */
export function described(node: Node, words: Words, at = ""): Node {
  const below = (key: string) => (at === "" ? key : `${at}.${key}`);
  const inside = mapped(node, (child, key) => (key === "" ? unnamed(child) : described(child, words, below(key))));
  const word = words[at];
  if (word === undefined) return inside;
  return typeof word === "string"
    ? { description: word, ...inside }
    : { description: word.says, ...inside, examples: word.examples };

  /** An alternative stands in the same place, which is described once. */
  function unnamed(child: Node): Node {
    return described(child, { ...words, [at]: undefined }, at);
  }
}

/**
 * The same where `{each.NAME}` may stand for what `for_each` puts in: a text that only this pattern fits is read as the schema says once the
 * template is expanded.
 */
export function withEach(node: Node): Node {
  const { description, default: usual, examples, ...rest } = mapped(node, withEach);
  const restricted =
    rest["type"] === "string" && ["enum", "const", "pattern", "format", "maxLength"].some((key) => key in rest);
  if (!restricted) return { ...labels({ description, usual, examples }), ...rest };
  return { ...labels({ description, usual, examples }), anyOf: [rest, { $ref: "#/$defs/each" }] };
}

/** What `withEach` refers to. */
export const eachDefinition: Node = {
  description: "A text that `for_each` fills.",
  type: "string",
  pattern: String.raw`\{each\.`,
};

function labels({ description, usual, examples }: { description: unknown; usual: unknown; examples: unknown }): Node {
  const entries = Object.entries({ description, default: usual, examples }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries);
}

/** Of every part directly within, by its key; the alternatives of one place have the key "". */
function mapped(node: Node, change: (child: Node, key: string) => Node): Node {
  const one = (child: unknown, key: string): unknown => (isNode(child) ? change(child, key) : child);
  const changed = Object.entries(node).map(([keyword, value]): readonly [string, unknown] => {
    switch (keyword) {
      case "properties":
        return [
          keyword,
          Object.fromEntries(Object.entries(node.properties ?? {}).map(([key, child]) => [key, one(child, key)])),
        ];
      case "additionalProperties":
        return [keyword, one(value, "*")];
      case "items":
        return [keyword, one(value, "[]")];
      case "anyOf":
      case "oneOf":
      case "allOf":
        return [keyword, Array.isArray(value) ? value.map((child: unknown) => one(child, "")) : value];
      default:
        return [keyword, value];
    }
  });
  return Object.fromEntries(changed);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
