import type { TemplateSource } from "../../../src/policy/language/document.ts";
import type { Random } from "../identity/chance.ts";
import { chance, shuffled } from "./chance.ts";

/** A part of a file as a person writes it: plain data, and what the oracle reads. */
export type Plain = string | number | boolean | readonly Plain[] | Written;
export interface Written {
  readonly [key: string]: Plain;
}

/** A file of the folder of templates, by its path there. */
export interface WrittenFile {
  readonly file: string;
  readonly content: Written;
}

/** As YAML: maps in blocks or in one line, by chance; what is in it is the same. */
export function sourceOf({ file, content }: WrittenFile, random: Random): TemplateSource {
  return { file, text: `${block(content, "", random)}\n` };
}

function block(map: Written, indent: string, random: Random): string {
  const lines = Object.entries(map).map(([key, value]) => {
    const name = `${indent}${scalar(key, random)}:`;
    const inBlock = isMap(value) && Object.keys(value).length > 0 && indent.length < 6 && chance(random, 0.5);
    return inBlock ? `${name}\n${block(value, `${indent}  `, random)}` : `${name} ${flow(value, random)}`;
  });
  return lines.join("\n");
}

function flow(value: Plain, random: Random): string {
  if (isMap(value))
    return `{ ${Object.entries(value)
      .map(([key, inner]) => `${scalar(key, random)}: ${flow(inner, random)}`)
      .join(", ")} }`;
  if (isList(value)) return `[${value.map((item) => flow(item, random)).join(", ")}]`;
  return scalar(value, random);
}

const words = /^(?:true|false|null|yes|no|on|off|y|n)$/i;

/** Plain where it cannot be anything but text, else in quotes. */
function scalar(value: string | number | boolean, random: Random): string {
  if (typeof value !== "string") return String(value);
  const plain = /^[a-z][a-z0-9_-]*$/.test(value) && !words.test(value);
  return plain && chance(random, 0.7) ? value : JSON.stringify(value);
}

export function isMap(value: Plain | undefined): value is Written {
  return typeof value === "object" && !isList(value);
}

export function isList(value: Plain | undefined): value is readonly Plain[] {
  return Array.isArray(value);
}

export function mapOf(value: Plain | undefined): Written {
  return isMap(value) ? value : {};
}

/** One value or a list of them, as a list. */
export function listOf(value: Plain | undefined): readonly Plain[] {
  if (value === undefined) return [];
  return isList(value) ? value : [value];
}

/** The same with its keys, and the items of its lists, in another order; a command's words stay where they are. */
export function reordered(value: Plain, random: Random, key = ""): Plain {
  if (isMap(value)) {
    const entries = shuffled(random, Object.entries(value));
    return Object.fromEntries(entries.map(([name, inner]) => [name, reordered(inner, random, name)]));
  }
  if (!isList(value) || key === "run" || key === "commands") return value;
  return shuffled(random, value).map((item) => reordered(item, random));
}
