import { Command, Option } from "commander";
import { BrokerError } from "../errors.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { type ClaimsFlags, explainClaims } from "./explain-claims.ts";
import { explainTemplate } from "./explain-expand.ts";
import { explainRecorded } from "./explain-recorded.ts";
import { explainToken, type TokenFileFlags } from "./explain-token.ts";
import type { Io } from "./io.ts";
import { jsonFlag, socketFlag } from "./reach.ts";
import { configFlag } from "./templates.ts";

interface ExplainFlags extends TokenFileFlags, ClaimsFlags {
  readonly claims?: string;
  readonly expand?: boolean;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly explain den-4c1e...
  $ mayfly explain run-7f1c... --json
  $ mayfly explain --token-file token.jwt
  $ buildkite-agent oidc request-token --claim organization_id,pipeline_id --audience mayfly | mayfly explain --token-file - --json
  $ mayfly explain --claims claims.json --templates templates
  $ mayfly explain --claims part-of-them.json --issuer github --at 2026-11-23T10:00:00Z
  $ mayfly explain shop/release --expand
  $ mayfly explain --claims claims.json --template deploy --step ship -- ./deploy.sh

With a token or claims it exits as the run would: 0, or 120 where it would be denied. Without --step it tells of every step.`;

export function explainCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("explain")
    .summary("why a request was granted or denied, or what one would be given")
    .description(
      "Explains a recorded run, denial or observation by its id (audit.sock): it is decided again by the policy text that decided it, as the ledger keeps it, with every template's first line that did not hold and what a match would give. With --token-file, says which of the verifier's checks a token passes, what of it is believed, and what its job would be given; only its issuer's keys are fetched, and nothing is spent, recorded or issued. With --claims, decides what a job with these claims would be given. With --expand, prints what became of a template by `extends`, `for_each`, network sets and bounds.",
    )
    .argument("[id]", "the id of a run, a denial or an observation; with --expand: a template's name")
    .argument("[command...]", "with a token or claims: the command that would be run")
    .option("--token-file <file|->", "an identity token, from a file or from stdin")
    .option("--offline", "with --token-file: fetch no keys, and leave the signature unchecked")
    .option("--claims <file>", "the claims of an identity token, as JSON")
    .addOption(
      new Option(
        "--issuer <name>",
        "with --claims: whose they are, as mayfly.yaml calls it; what the CI system always sends and they leave out is filled in, as in policy tests",
      ).conflicts(["tokenFile", "expand"]),
    )
    .option("--template <name>", "with a token or claims: the template that would be asked for")
    .option("--step <name>", "with a token or claims: the step")
    .option("--at <time>", "with a token or claims: when the run would begin, for templates with hours (default: now)")
    .option("--templates <folder>", "with a token, claims or --expand: the templates")
    .option("--expand", "print the final form of the template of this name")
    .option(...configFlag)
    .option(...jsonFlag)
    .option(...socketFlag)
    .addHelpText("after", examples)
    .action((id: string | undefined, command: string[], flags: ExplainFlags) => explain(io, types, { id, command, flags }));
}

interface Asked {
  readonly id: string | undefined;
  readonly command: readonly string[];
  readonly flags: ExplainFlags;
}

async function explain(io: Io, types: LoadCatalogue, { id, command, flags }: Asked): Promise<void> {
  const { claims, tokenFile, expand } = flags;
  const whole = id === undefined ? [] : [id, ...command];
  if ([claims !== undefined, tokenFile !== undefined, expand === true].filter(Boolean).length > 1)
    throw new BrokerError("usage", "--token-file, --claims and --expand each ask for something else: one of them", {
      hint: "a token has its own claims, and --expand wants a template's name",
    });
  if (tokenFile !== undefined) return explainToken(io, types, { file: tokenFile, command: whole, flags });
  if (claims !== undefined) return explainClaims(io, types, { claims, command: whole, flags });
  if (id === undefined) throw new BrokerError("usage", "name a recorded id, or say --token-file, --claims or --expand");
  return expand === true ? explainTemplate(io, types, { name: id, flags }) : explainRecorded(io, types, id, flags);
}
