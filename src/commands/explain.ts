import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { AuditService, type ExplainDenialResponse, ExplainDenialResponseSchema } from "../api/gen/mayfly/v1/audit_pb.ts";
import { BrokerError, isCode } from "../errors.ts";
import { explainText } from "../policy/explain.ts";
import type { LoadCatalogue } from "../rooms.ts";
import { explainClaims } from "./explain-claims.ts";
import { explainToken, type TokenFileFlags } from "./explain-token.ts";
import type { Io } from "./io.ts";
import { print, printJson } from "./output.ts";
import { jsonFlag, reach, socketFlag } from "./reach.ts";
import { configFlag } from "./templates.ts";
import { refuseToken } from "./token.ts";

interface ExplainFlags extends TokenFileFlags {
  readonly claims?: string;
  readonly socket?: string;
}

const examples = `
Examples:
  $ mayfly explain den-4c1e...
  $ mayfly explain --token-file token.jwt
  $ buildkite-agent oidc request-token --claim organization_id,pipeline_id --audience mayfly | mayfly explain --token-file - --json
  $ mayfly explain --claims claims.json --templates templates
  $ mayfly explain --claims claims.json --template deploy --step ship -- ./deploy.sh`;

export function explainCommand(io: Io, types: LoadCatalogue): Command {
  return new Command("explain")
    .summary("why a request was denied, or what one would be given")
    .description(
      "Explains a recorded denial by its id (audit.sock): which line of which template did not hold, and what it wants. With --token-file, says which of the verifier's checks a token passes, what of it is believed, and what its job would be given; only its issuer's keys are fetched, and nothing is spent, recorded or issued. With --claims, decides what a job with these claims would be given.",
    )
    .argument("[id]", "the id that the denied caller was given")
    .argument("[command...]", "with a token or claims: the command that would be run")
    .option("--token-file <file|->", "an identity token, from a file or from stdin")
    .option("--offline", "with --token-file: fetch no keys, and leave the signature unchecked")
    .option("--claims <file>", "the claims of an identity token, as JSON")
    .option("--template <name>", "with a token or claims: the template that would be asked for")
    .option("--step <name>", "with a token or claims: the step")
    .option("--templates <folder>", "with a token or claims: the templates")
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
  const { claims, tokenFile } = flags;
  const whole = id === undefined ? [] : [id, ...command];
  if (claims !== undefined && tokenFile !== undefined)
    throw new BrokerError("usage", "a token has its own claims: --token-file or --claims, not both");
  if (tokenFile !== undefined) return explainToken(io, types, { file: tokenFile, command: whole, flags });
  if (claims !== undefined) return explainClaims(io, types, { claims, command: whole, flags });
  if (id === undefined)
    throw new BrokerError("usage", "name a denial's id, a token with --token-file, or a file of claims with --claims");
  refuseToken("mayfly explain", id);
  return explainDenial(io, id, flags);
}

async function explainDenial(io: Io, denial: string, flags: ExplainFlags): Promise<void> {
  using client = reach(io, AuditService, "audit", flags);
  const answer = await client.call.explainDenial({ denial });
  if (flags.json === true) printJson(io, toJson(ExplainDenialResponseSchema, answer, { alwaysEmitImplicit: true }));
  else print(io, recorded(answer));
}

function recorded({ entry, templates }: ExplainDenialResponse): string {
  const text = (name: string): string => {
    const value = entry?.event?.[name];
    return typeof value === "string" ? value : "";
  };
  const code = text("code");
  return explainText({
    kind: "denied",
    code: isCode(code) ? code : "internal",
    message: text("message"),
    policy: text("policy"),
    trace: templates,
  });
}
