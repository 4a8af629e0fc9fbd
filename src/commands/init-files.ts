import { stringify } from "yaml";
import type { Line, Stranger, Subject, SystemFacts } from "./init-systems.ts";

/** Everything that the first files of a template are made of. */
export interface FirstTemplate {
  readonly name: string;
  /** As mayfly.yaml calls it. */
  readonly issuer: string;
  readonly owner: string;
  readonly facts: SystemFacts;
  readonly subject: Subject;
  /** The providers of mayfly.yaml, by name and type. */
  readonly providers: Readonly<Record<string, string>>;
  /** From where the files stand to the folder of the schemas. */
  readonly schemas: string;
}

/** The template: it gives no credential yet, so that nobody gets what nobody thought about. */
export function templateText(first: FirstTemplate): string {
  const { name, issuer, owner, facts } = first;
  const lines = [{ claim: "issuer", value: issuer, because: "" }, ...linesOf(first)];
  const base = name.split("/").at(-1) ?? name;
  return `# yaml-language-server: $schema=${first.schemas}/template.schema.json
# \`mayfly check\` says what is wrong with it, \`mayfly check --test\` runs ${base}.test.yaml,
# \`mayfly explain ${name} --expand\` prints what becomes of it.
version: 1
template: ${name}
owner: ${scalar(owner)} # who answers for it: a team or a person
who: # every line must hold; ids decide, names are labels
${lines.map(lineText).join("\n")}${facts.warning === undefined ? "" : `\n# Beware: ${facts.warning}.`}
# when: { days: mon-fri, hours: "07:00-19:00", zone: Europe/Berlin } # runs begin only then
# credentials: # without any, the job runs in its sandbox and gets nothing
${credentialHints(first.providers)
  .map((hint) => `#   ${hint}`)
  .join("\n")}
# steps: # with steps, a run names one, and gets only what that step lists
#   deploy: { run: [./deploy.sh], credentials: [first], workspace: read-only }
#   # and network: ["db.example.com:5432"], once jobs have a network; until then such a run is refused
sandbox:
  env: { pass: [CI] }
  memory: 2GiB
  cpus: 2
  pids: 512
  timeout: 15m
`;
}

function lineText({ claim, value, because }: Line): string {
  return `  ${scalar(claim)}: ${scalar(value)}${because === "" ? "" : ` # ${because}`}`;
}

/** The ids first: whose job it is decides before anything else is looked at. */
function linesOf({ facts, subject }: FirstTemplate): readonly Line[] {
  const { ids, repository, branch, environment } = subject;
  return [
    ...Object.entries(ids).map(([claim, value], index) => ({ claim, value, because: index === 0 ? (repository ?? "") : "" })),
    ...facts.lines(subject),
    ...(facts.branch === undefined ? [] : [{ claim: facts.branch.claim, value: facts.branch.written(branch), because: "" }]),
    ...(environment === undefined ? [] : [{ claim: "environment", value: environment, because: "" }]),
  ];
}

const options: Readonly<Record<string, string>> = {
  vault: "path: database/creds/ROLE, ttl: 10m, deliver: { files: { user: username, password: password } }",
  local: "kind: x509, ttl: 10m",
};

function credentialHints(providers: Readonly<Record<string, string>>): readonly string[] {
  const hints = Object.entries(providers).map(([name, type]) => `{ provider: ${name}, ${options[type] ?? "ttl: 10m"} }`);
  const named = ["first", "second", "third"];
  if (hints.length === 0) return [`first: { provider: NAME, ttl: 10m } # an entry of mayfly.yaml's providers, and its options`];
  return hints.slice(0, named.length).map((hint, index) => `${named[index] ?? ""}: ${hint}`);
}

/** The tests: one job is let in, and those that come nearest to it are not. */
export function testText(first: FirstTemplate): string {
  const { name, issuer, facts, subject, schemas } = first;
  const lines = linesOf(first).filter(({ claim }) => claim !== "trust");
  const claims = { ...Object.fromEntries(lines.map(({ claim, value }) => [claim, value])), ...facts.claims };
  const strangers = [...anothers(first), ...facts.strangers(subject)];
  return `# yaml-language-server: $schema=${schemas}/test.schema.json
# Run by \`mayfly check --test\`. What a token always has and a test leaves out is \`unspecified\`.
version: 1
issuer: ${issuer}
template: ${name}
claims: # of the job that is let in
${Object.entries(claims)
  .map(([claim, value]) => `  ${scalar(claim)}: ${scalar(value)}`)
  .join("\n")}
tests:
  - it: lets the job in, and gives it no credential yet
    expect: { granted: ${name}, credentials: [] }
${strangers.map(strangerText).join("\n")}
`;
}

/** The same job of somebody else, and of another branch. */
function anothers({ facts: { branch }, subject: { ids } }: FirstTemplate): readonly Stranger[] {
  const [[claim, value] = ["sub", ""]] = Object.entries(ids);
  const owner = { it: "denies another repository", claims: { [claim]: another(value) }, failsAt: { claim } };
  if (branch === undefined) return [owner];
  const other = { [branch.claim]: branch.written("another") };
  return [owner, { it: "denies another branch", claims: other, failsAt: { claim: branch.claim } }];
}

/** An id of the same form: tokens of another are refused before any template is asked. */
function another(id: string): string {
  if (id.startsWith("spiffe://")) return id.replace(/^(spiffe:\/\/[^/]+).*$/, "$1/another");
  if (id.startsWith("/eid1/")) return id.replace(/[^/]+$/, "00000000-0000-0000-0000-000000000000");
  return id === "1" ? "2" : "1";
}

function strangerText({ it, claims, failsAt }: Stranger): string {
  const expect = "code" in failsAt ? { denied: failsAt.code } : { denied: "claim-mismatch", claim: failsAt.claim };
  return `  - it: ${scalar(it)}
    claims: ${flow(claims)}
    expect: ${flow(expect)}`;
}

function scalar(value: string): string {
  return stringify(value, { lineWidth: 0 }).trim();
}

function flow(value: unknown): string {
  return stringify(value, { collectionStyle: "flow", lineWidth: 0 }).trim();
}
