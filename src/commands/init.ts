import { accessSync, constants, existsSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { Command } from "commander";
import { type Config, settings } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { templateName } from "../policy/language/template.ts";
import { jsonSchemaOf, schemaKinds } from "../policy/schema/schema.ts";
import { printable } from "../printable.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { templateText, testText } from "./init-files.ts";
import { checkLine, report } from "./init-report.ts";
import { checkoutOf } from "./init-repository.ts";
import { snippets } from "./init-snippets.ts";
import { type Found, fromRepository, fromToken, type RepositoryFlags } from "./init-subject.ts";
import { systemFacts } from "./init-systems.ts";
import { existingJobs } from "./init-workflows.ts";
import type { Io } from "./io.ts";
import { writeFiles } from "./new-files.ts";
import { schemaSite } from "./schema.ts";
import { firstConfigText, firstProviders, usualIssuers, type WrittenIssuer } from "./stand-in-config.ts";
import { configFlag, configFrom, type TemplateFlags } from "./templates.ts";

interface InitFlags extends RepositoryFlags, TemplateFlags {
  readonly issuer?: string;
  readonly template?: string;
  readonly owner?: string;
  readonly tokenFile?: string;
  readonly offline?: boolean;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ mayfly init --id "$(gh api repos/acme/shop --jq .id)"
  $ mayfly init ~/src/shop --ci gitlab --id 20 --out policy/templates
  $ mayfly init --token-file token.jwt --template shop/deploy
  $ mayfly init --id 519283746 --json | jq -r .snippet`;

export function initCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("init")
    .summary("a first template, its tests and the workflow's lines")
    .description(
      "Writes a template for the jobs of a repository, tests that pass, and the JSON Schemas that an editor completes from; prints what to add to the pipeline. Whose jobs they are is said by an id, or by an identity token of one of them. The template gives no credential until you add one. Runs nothing, and contacts nobody but the issuer of a token.",
    )
    .argument("[folder]", "the checkout of the repository (default: the current folder)")
    .option("--id <id>", "the id of the repository, project or pipeline; without it, you are told how to find it")
    .option("--ci <system>", "the CI system: github, gitlab, ... (default: the one whose files are there)")
    .option("--token-file <file|->", "an identity token of such a job instead, from a file or from stdin")
    .option("--offline", "with --token-file: fetch no keys, and leave the signature unchecked")
    .option("--issuer <name>", "the issuer's name in mayfly.yaml (default: the only one of that CI system)")
    .option("--template <name>", "what to call it, such as deploy or shop/deploy (default: the repository's name)")
    .option("--owner <team>", "who answers for it (default: the repository's owner)")
    .option("--out <folder>", "the templates (default: those of mayfly.yaml where you may write, else ./templates)")
    .option("--force", "write over files that are there")
    .option(...configFlag)
    .option("--json", "print what was made as JSON")
    .addHelpText("after", examples)
    .action((folder: string | undefined, flags: InitFlags) => init(io, types, folder, flags));
}

async function init(io: Io, types: LoadCatalogue, folder: string | undefined, flags: InitFlags): Promise<void> {
  const config = configAtHand(io, flags);
  const found = await find(io, config, folder, flags);
  const issuer = issuerOf(config, found, flags.issuer);
  const name = nameOf(found, flags.template);
  const out = outOf(io, config, flags.out);
  const checkout = resolve(io.cwd, folder ?? ".");
  const beside = config === undefined ? join(dirname(out), "mayfly.yaml") : undefined;
  const trusted = trustedAbove(beside === undefined ? out : dirname(out), [checkout, io.cwd]);
  const owner = ownerOf(found, flags.owner);
  const force = flags.force === true;
  const files = await write(io, types, { config, found, issuer, name, owner, out, beside, trusted, force });
  const { branch: ref, environment } = found.subject;
  const wanted = { audience: printable(issuer.audience), environment };
  const snippet = snippets[found.preset]({ template: name, branch: ref.replace(/^refs\/(?:heads|tags)\//, ""), ...wanted });
  const jobs = existingJobs(found.preset, checkout, wanted);
  const lacking = beside !== undefined && files.includes(beside) ? undefined : issuer.missing;
  const check = checkLine(io, out, flags.config ?? beside);
  report(io, { name, files, issuer: issuer.name, lacking, snippet, jobs, check }, flags.json === true);
}

/** Undefined on a developer's laptop, where there is none and none was named. */
function configAtHand(io: Io, flags: TemplateFlags): Config | undefined {
  const there = flags.config !== undefined || existsSync(settings(io.env).config);
  return there ? configFrom(io, flags) : undefined;
}

function find(io: Io, config: Config | undefined, folder: string | undefined, flags: InitFlags): Promise<Found> | Found {
  const { tokenFile: file, offline } = flags;
  if (file === undefined) return fromRepository(io, resolve(io.cwd, folder ?? "."), flags);
  // Whose token is believed stands in mayfly.yaml alone; without one, this says so.
  return fromToken(io, config ?? configFrom(io, flags), { file, offline: offline === true });
}

interface ChosenIssuer {
  readonly name: string;
  readonly audience: string;
  /** As mayfly.yaml would have it; undefined where it has the issuer. */
  readonly missing: WrittenIssuer | undefined;
}

function issuerOf(config: Config | undefined, { preset, issuer, url }: Found, asked: string | undefined): ChosenIssuer {
  const fitting = Object.entries(config?.issuers ?? {}).filter(([, one]) => one.preset === preset);
  const wanted = issuer ?? asked;
  const [only, second] = fitting.filter(([name]) => wanted === undefined || name === wanted);
  if (second !== undefined)
    throw new BrokerError(
      "usage",
      `mayfly.yaml has several issuers of ${preset}: ${fitting.map(([name]) => name).join(", ")}`,
      {
        hint: "name one with --issuer",
      },
    );
  if (only !== undefined) return { name: only[0], audience: only[1].audience, missing: undefined };
  const usual = usualIssuers[preset];
  const missing = url === undefined ? usual : { ...usual, url };
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(wanted ?? preset))
    throw new BrokerError("usage", "--issuer: an issuer's name is lower case letters, digits and '-'");
  return { name: wanted ?? preset, audience: String(usual["audience"]), missing };
}

function nameOf({ subject }: Found, asked: string | undefined): string {
  const usual = subject.repository
    ?.split("/")
    .at(-1)
    ?.toLowerCase()
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .replace(/^[_-]+/, "");
  const name = templateName.safeParse(asked ?? (usual === undefined || usual === "" ? "deploy" : usual));
  if (name.success) return name.data;
  throw new BrokerError("usage", `--template: ${name.error.issues[0]?.message ?? "not a template's name"}`);
}

function ownerOf({ subject }: Found, asked: string | undefined): string {
  const owner = asked ?? subject.repository?.split("/")[0] ?? "unknown";
  if (owner !== "" && owner.length <= 128 && printable(owner) === owner) return owner;
  throw new BrokerError("usage", "--owner: a team or a person, in one line of at most 128 characters");
}

function outOf(io: Io, config: Config | undefined, asked: string | undefined): string {
  if (asked !== undefined) return resolve(io.cwd, asked);
  const here = resolve(io.cwd, "templates");
  if (config === undefined) return here;
  try {
    accessSync(config.templates, constants.W_OK);
    return config.templates;
  } catch {
    return here;
  }
}

interface Writing {
  readonly config: Config | undefined;
  readonly found: Found;
  readonly issuer: ChosenIssuer;
  readonly name: string;
  readonly owner: string;
  readonly out: string;
  /** A mayfly.yaml to check with, where none is at hand. */
  readonly beside: string | undefined;
  readonly trusted: string;
  readonly force: boolean;
}

/** What is in a checkout is somebody else's choice, also on the way to the templates; elsewhere only what is in their folder is. */
function trustedAbove(out: string, folders: readonly string[]): string {
  const within = folders.map(checkoutOf).filter((root) => `${out}/`.startsWith(`${root}/`));
  return within.toSorted((a, b) => a.length - b.length)[0] ?? out;
}

async function write(io: Io, types: LoadCatalogue, writing: Writing): Promise<readonly string[]> {
  const { config, found, issuer, name, owner, out, beside, trusted, force } = writing;
  const { preset, subject } = found;
  const path = join(out, name);
  const schemas = relative(dirname(path), join(out, ".schema"));
  // One that is there is somebody's: it is neither read nor written over.
  const fresh = issuer.missing === undefined || beside === undefined || existsSync(beside) ? undefined : beside;
  const known = Object.entries(config?.providers ?? {}).map(([key, { type }]) => [key, type] as const);
  const providers = fresh === undefined ? Object.fromEntries(known) : firstProviders;
  const first = { name, issuer: issuer.name, owner, facts: systemFacts[preset], subject, providers, schemas };
  const own = [
    { path: `${path}.yaml`, text: templateText(first), replace: force },
    { path: `${path}.test.yaml`, text: testText(first), replace: force },
    ...(fresh === undefined ? [] : [{ path: fresh, text: firstConfigText(issuer.name, issuer.missing ?? {}), replace: false }]),
  ];
  const site = await schemaSite(io, types, issuer.missing === undefined ? config : undefined);
  const shared = schemaKinds.map((kind) => ({
    path: join(out, ".schema", `${kind}.schema.json`),
    text: `${JSON.stringify(jsonSchemaOf(kind, site), null, 2)}\n`,
    replace: true,
  }));
  await writeFiles([...own, ...shared], trusted);
  return own.map((file) => file.path);
}
