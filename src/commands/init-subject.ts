import type { Config } from "../config.ts";
import { BrokerError } from "../errors.ts";
import { examine } from "../identity/examine.ts";
import type { Identity } from "../identity/identity.ts";
import { type PresetName, presets } from "../identity/presets/presets.ts";
import { isSystem, type System, systems, titles } from "../identity/source/system.ts";
import { printable } from "../printable.ts";
import { gatesFrom } from "./explain-token.ts";
import { issuerUrl, readRepository, systemOf } from "./init-repository.ts";
import { type Subject, systemFacts } from "./init-systems.ts";
import type { Io } from "./io.ts";
import { say } from "./output.ts";
import { tokenInFile } from "./token.ts";

/** Of which kind of CI system, of which issuer where that is known, and whose jobs. */
export interface Found {
  readonly preset: PresetName;
  readonly issuer: string | undefined;
  /** Of an issuer on a host of one's own; undefined where the preset or mayfly.yaml knows it. */
  readonly url: string | undefined;
  readonly subject: Subject;
}

export interface RepositoryFlags {
  readonly id?: string;
  readonly ci?: string;
}

/** From a checkout, whose names say what it is for people, and the id, which says it for the broker. Throws `usage`. */
export function fromRepository(io: Io, folder: string, { id, ci }: RepositoryFlags): Found {
  if (ci !== undefined && !isSystem(ci))
    throw new BrokerError("usage", `there is no CI system ${ci}`, { hint: `name one of ${systems.join(", ")}` });
  const repository = readRepository(folder);
  const system = ci ?? systemOf(repository);
  const { remote, branch } = repository;
  const origin = remote === undefined ? undefined : `${remote.host}/${remote.path}`;
  const ids = idsFrom(system, id, remote?.path);
  return {
    preset: system,
    issuer: undefined,
    url: issuerUrl(system, remote),
    subject: { ids, repository: remote?.path, origin, branch: plainBranch(io, branch), environment: undefined },
  };
}

function idsFrom(system: System, id: string | undefined, repository: string | undefined): Subject["ids"] {
  const { ids, form, ask } = systemFacts[system];
  const hint = `${titles[system]}: ${ask(repository)}`;
  if (id === undefined)
    throw new BrokerError("usage", "say whose jobs these are with --id: names are no ids, since others come to have them", {
      hint,
    });
  if (!form.test(id)) throw new BrokerError("usage", `${JSON.stringify(id)} is not an id of ${titles[system]}`, { hint });
  const [first = "", ...rest] = ids;
  const cut = rest.length === 0 ? -1 : id.indexOf("/");
  const parts = cut < 0 ? [id] : [id.slice(0, cut), id.slice(cut + 1)];
  return Object.fromEntries([first, ...rest].map((claim, index) => [claim, exact(claim, parts[index] ?? "")]));
}

/** It goes into pipelines, where other characters are a language; the template would read a `*` as a pattern. */
function plainBranch(io: Io, branch: string): string {
  if (/^(?!-)(?!.*\.\.)[A-Za-z0-9._/-]{1,200}$/.test(branch)) return branch;
  say(
    io,
    `mayfly: the branch ${JSON.stringify(branch.slice(0, 200))} cannot be written here: main stands in its place, so change it`,
  );
  return "main";
}

/** A value that a template takes for itself alone. Throws `usage`. */
function exact(claim: string, value: string): string {
  if (printable(value) === value && !value.includes("*")) return value;
  throw new BrokerError("usage", `${claim} is ${JSON.stringify(value.slice(0, 200))}, which a template cannot name`, {
    hint: "a '*' would be a pattern, and what cannot be seen would be believed",
  });
}

export interface TokenFlags {
  readonly file: string;
  readonly offline: boolean;
}

/** An issuer that is silent is given up on long before. */
const patience = 30_000;

/**
 * From a token, in which everything is. It is verified as the broker would, but for its age: nothing is granted here, and a token that somebody
 * copied from a job is minutes old. Throws what it would be refused with.
 */
export async function fromToken(io: Io, config: Config, { file, offline }: TokenFlags): Promise<Found> {
  const token = await tokenInFile(io, file);
  if (offline) say(io, "mayfly: WITHOUT THE SIGNATURE (--offline): anybody can have written this token");
  const at = { now: new Date(io.clock.now()), signal: AbortSignal.timeout(patience), offline };
  const { checks, refusal, profile, identity } = await examine(token, gatesFrom(io, config), at);
  const worse = checks.find(({ check, state }) => state === "failed" && check !== "times");
  if (refusal !== undefined && worse !== undefined) throw new BrokerError(worse.code ?? refusal.code);
  if (profile === undefined || identity === undefined) throw refusal ?? new BrokerError("token-malformed");
  if (refusal !== undefined) say(io, `mayfly: ${refusal.message}: no broker would take it, but its claims are of use here`);
  const preset = presetOf(config, profile.name);
  checkTrust(io, preset, identity);
  return {
    preset,
    issuer: profile.name,
    url: undefined,
    subject: subjectOf(io, preset, { identity, workload: profile.workload }),
  };
}

function presetOf({ issuers }: Config, name: string): PresetName {
  return issuers[name]?.preset ?? "generic";
}

/** A template for pull requests is not a first one. */
function checkTrust(io: Io, preset: PresetName, { trust }: Identity): void {
  if (presets[preset].trust === undefined || trust === "protected") return;
  if (trust !== "branch")
    throw new BrokerError("usage", `the trust of the token's job is ${trust}: a first template is for what may be trusted`, {
      hint: "hand over the token of a run of the protected branch, or start from the repository with --id",
    });
  say(io, "mayfly: the token's branch is not protected, and the template asks that it is: protect it");
}

interface Believed {
  readonly identity: Identity;
  /** The claims that say so, of an issuer whose kind does not. */
  readonly workload: readonly string[];
}

function subjectOf(io: Io, preset: PresetName, { identity: { claims }, workload }: Believed): Subject {
  const facts = systemFacts[preset];
  const names = facts.ids.length === 0 ? workload : facts.ids;
  const text = (name: string): string | undefined => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    return typeof value === "string" || typeof value === "number" ? exact(name, String(value)) : undefined;
  };
  const labels = ["repository", "project_path", "pipeline_slug", "terraform_workspace_name", "nomad_job_id"];
  const ref = facts.branch === undefined ? undefined : claims[facts.branch.claim];
  return {
    ids: Object.fromEntries(names.map((name) => [name, text(name) ?? ""])),
    repository: labels.map(text).find((label) => label !== undefined && /^[\w.~ %/-]+$/.test(label)),
    origin: text("oidc.circleci.com/vcs-origin"),
    branch: typeof ref === "string" ? plainBranch(io, ref.replace(/^refs\/heads\//, "")) : "main",
    environment: presets[preset].trust === undefined ? undefined : text("environment"),
  };
}
