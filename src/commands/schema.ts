import { Command } from "commander";
import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { meant } from "../policy/language/nearest.ts";
import type { Rooms } from "../policy/rooms.ts";
import { jsonSchemaOf, type SchemaKind, type SchemaSite, schemaKinds } from "../policy/schema/schema.ts";
import type { LoadCatalogue } from "../rooms.ts";
import type { Io } from "./io.ts";
import { printJson } from "./output.ts";
import { standInConfig, usualIssuers } from "./stand-in-config.ts";
import { configFrom, roomsFrom, type TemplateFlags } from "./templates.ts";

const examples = `
Examples:
  $ mayfly schema template > template.schema.json
  $ mayfly schema template --config deploy/mayfly.yaml > .schema/template.schema.json
  $ mayfly schema test | jq '."properties" | keys'

An editor that reads a file's first line completes its keys:
  # yaml-language-server: $schema=.schema/template.schema.json`;

export function schemaCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("schema")
    .summary("the JSON Schema of templates, for editors")
    .description(
      "Prints the JSON Schema (draft 2020-12) of a template, of bounds.yaml, of a network set or of policy tests. With --config, only the issuers and providers of that mayfly.yaml fit, and each provider's own options are completed. Contacts nobody.",
    )
    .argument("[kind]", `which kind of file: ${schemaKinds.join(", ")}`, "template")
    .option("--config <file>", "mayfly.yaml, whose issuers and providers templates may name (default: any)")
    .addHelpText("after", examples)
    .action(async (asked: string, flags: TemplateFlags) => {
      const kind = kindOf(asked);
      const config = flags.config === undefined ? undefined : configFrom(io, flags);
      printJson(io, jsonSchemaOf(kind, await schemaSite(io, types, config)));
    });
}

function kindOf(asked: string): SchemaKind {
  const kind = schemaKinds.find((one) => one === asked);
  if (kind !== undefined) return kind;
  throw new BrokerError("usage", `there is no kind of file ${JSON.stringify(asked)}`, { hint: meant(asked, schemaKinds) });
}

/** Without a mayfly.yaml, every kind of CI system is completed, and no name of an issuer or provider is known. */
export async function schemaSite(io: Io, types: LoadCatalogue, config: Config | undefined): Promise<SchemaSite> {
  const rooms = await roomsFrom(io, types, config ?? standInConfig(usualIssuers));
  return { ...wordsOf(rooms), named: config !== undefined };
}

function wordsOf<D, I>({ issuers = new Map(), providers, delivery, isolation }: Rooms<D, I>): Omit<SchemaSite, "named"> {
  return { issuers, providers, delivery, isolation };
}
