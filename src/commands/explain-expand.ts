import { BrokerError } from "../errors.ts";
import { meant } from "../policy/language/nearest.ts";
import { expandedText, type WrittenFile, writtenFiles } from "../policy/language/origins.ts";
import type { Policy, Template } from "../policy/policy.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { policyFrom } from "./explain-policy.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { configFrom, type TemplateFlags } from "./templates.ts";

export interface ExpandFlags extends TemplateFlags {
  readonly templates?: string;
  readonly json?: boolean;
}

interface Asked {
  readonly name: string;
  readonly flags: ExpandFlags;
}

/**
 * `mayfly explain NAME --expand`: the template after `extends`, `for_each`, network sets and bounds, as YAML whose comments say where things
 * came from; of one that `for_each` expands, every template that comes of it. Throws `usage` and `policy-invalid`.
 */
export async function explainTemplate(io: Io, types: LoadCatalogue, { name, flags }: Asked): Promise<void> {
  const policy = await policyFrom(io, types, { config: configFrom(io, flags), flags });
  const files = writtenFiles(policy);
  const templates = named(policy, files, name);
  if (flags.json === true) {
    const written = templates.map(({ name: template, file, expanded }) => ({ template, file, expanded }));
    return printJson(io, { policy: policy.digest, templates: written });
  }
  print(
    io,
    ...templates
      .map((template) => expandedText(template, files))
      .join("---\n")
      .trimEnd()
      .split("\n"),
  );
}

function named<D, I>(policy: Policy<D, I>, files: readonly WrittenFile[], name: string): readonly Template<D, I>[] {
  const exact = policy.templates.get(name);
  if (exact !== undefined) return [exact];
  const written = files.find(({ value }) => value["template"] === name);
  const expansions = [...policy.templates.values()].filter(({ file }) => file === written?.file);
  if (expansions.length > 0) return expansions;
  const unknown =
    written === undefined
      ? `no template is called ${JSON.stringify(name)}`
      : `${name} has no who: it is there to be extended, and gives nothing by itself`;
  const children = files.filter(({ value }) => value["extends"] === name).map(({ value }) => String(value["template"]));
  const names = [...files.map(({ value }) => value["template"]), ...policy.templates.keys()].filter(
    (one) => typeof one === "string",
  );
  const hint = written === undefined ? meant(name, [...new Set(names)]) : `it is extended by ${children.join(", ") || "none"}`;
  throw new BrokerError("usage", unknown, { hint });
}
