import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { BrokerError } from "../errors.ts";
import { type System, titles } from "../identity/source/system.ts";

/** A checkout, as far as a first template needs it. Names alone: none of them says for sure whose it is. */
export interface Repository {
  /** Where it is pushed to; undefined where it has no `origin`. */
  readonly remote: Remote | undefined;
  /** Without `refs/heads/`, and as somebody else may have written it. */
  readonly branch: string;
  /** The CI systems whose files are there. */
  readonly systems: readonly System[];
}

/** `github.com` and `acme/shop`: never a user or a password that stands in the address. */
export interface Remote {
  readonly host: string;
  readonly path: string;
}

/** Reads the checkout around a folder; nothing of it is run. Throws `usage` where there is none. */
export function readRepository(folder: string): Repository {
  const root = rootOf(resolve(folder));
  if (root === undefined)
    throw new BrokerError("usage", `${folder} is not in a git repository`, {
      hint: "run it in a checkout, or hand it a token of one of its jobs with --token-file",
    });
  const git = gitFolder(join(root, ".git"));
  return { remote: remoteIn(textOf(join(git, "config"))), branch: branchIn(git), systems: systemsIn(root) };
}

/** The checkout around a folder, else the folder itself. */
export function checkoutOf(folder: string): string {
  return rootOf(folder) ?? folder;
}

function rootOf(folder: string): string | undefined {
  if (existsSync(join(folder, ".git"))) return folder;
  const above = dirname(folder);
  return above === folder ? undefined : rootOf(above);
}

/** Of a worktree or a submodule `.git` is a file that names the folder, and a worktree's folder names the one that it shares. */
function gitFolder(path: string): string {
  if (statSync(path).isDirectory()) return path;
  const named = /^gitdir: (.+)$/m.exec(textOf(path))?.[1]?.trim() ?? "";
  const own = resolve(dirname(path), named);
  const shared = textOf(join(own, "commondir")).trim();
  return shared === "" ? own : resolve(own, shared);
}

const largest = 1_048_576;

/** Empty where it is no plain file: a pipe in a checkout would be waited for, and a device read for ever. */
export function textOf(path: string): string {
  try {
    const stat = statSync(path);
    return stat.isFile() && stat.size <= largest ? readFileSync(path, "utf8") : "";
  } catch {
    return "";
  }
}

function branchIn(git: string): string {
  const followed = /^ref: refs\/remotes\/origin\/(\S+)/.exec(textOf(join(git, "refs/remotes/origin/HEAD")))?.[1];
  const checkedOut = /^ref: refs\/heads\/(\S+)/.exec(textOf(join(git, "HEAD")))?.[1];
  return followed ?? (checkedOut === "master" ? "master" : "main");
}

function remoteIn(config: string): Remote | undefined {
  const section = /^\s*\[remote "origin"\]\s*$([\s\S]*?)(?=^\s*\[|(?![\s\S]))/m.exec(config)?.[1] ?? "";
  return remoteOf(/^\s*url\s*=\s*"?([^"\n]+?)"?\s*$/m.exec(section)?.[1] ?? "");
}

/** `https://HOST/PATH.git`, `ssh://git@HOST:22/PATH.git` and `git@HOST:PATH.git`. */
export function remoteOf(url: string): Remote | undefined {
  const [, host, path] =
    /^[a-z+]+:\/\/(?:[^@/]*@)?([^:/]+)(?::[0-9]+)?\/(.+)$/i.exec(url) ?? /^(?:[^@/:]+@)?([^:/]+):(?!\/\/)(.+)$/.exec(url) ?? [];
  const plain =
    path
      ?.replace(/\/+$/, "")
      .replace(/\.git$/, "")
      .replace(/^\/+/, "") ?? "";
  return host === undefined || !/^[\w.-]+$/.test(host) || !/^[\w.-]+(?:\/[\w.~ %-]+)*$/.test(plain)
    ? undefined
    : { host: host.toLowerCase(), path: plain };
}

/** Gitea is missing: its tokens have no ids. */
const marks: readonly (readonly [System, readonly string[]])[] = [
  ["github", [".github/workflows"]],
  ["gitlab", [".gitlab-ci.yml"]],
  ["buildkite", [".buildkite"]],
  ["circleci", [".circleci/config.yml"]],
  ["jenkins", ["Jenkinsfile"]],
  ["bitbucket", ["bitbucket-pipelines.yml"]],
  ["azure-devops", ["azure-pipelines.yml", "azure-pipelines.yaml", ".azure-pipelines"]],
  ["forgejo", [".forgejo/workflows"]],
  ["google", ["cloudbuild.yaml", "cloudbuild.json"]],
];

function systemsIn(root: string): readonly System[] {
  return marks.filter(([, paths]) => paths.some((path) => existsSync(join(root, path)))).map(([system]) => system);
}

const hosts: readonly (readonly [RegExp, System])[] = [
  [/^(?:ssh\.)?github\.com$|\.ghe\.com$/, "github"],
  [/^(?:altssh\.)?gitlab\.com$/, "gitlab"],
  [/^(?:altssh\.)?bitbucket\.org$/, "bitbucket"],
  [/^(?:ssh\.)?dev\.azure\.com$|\.visualstudio\.com$/, "azure-devops"],
];

/** Whose tokens those of a host of one's own are; undefined where the preset knows it, or the checkout does not tell. */
export function issuerUrl(system: System, remote: Remote | undefined): string | undefined {
  if (remote === undefined || hosts.some(([host, at]) => at === system && host.test(remote.host) && !tenant.test(remote.host)))
    return undefined;
  const { host } = remote;
  if (system === "gitlab") return `https://${host}`;
  if (system === "forgejo") return `https://${host}/api/actions`;
  if (system !== "github") return undefined;
  return tenant.test(host) ? `https://token.actions.${host}` : `https://${host}/_services/token`;
}

/** GitHub with data residency: every customer's tokens are another issuer's. */
const tenant = /^[a-z0-9-]+\.ghe\.com$/;

/** The one whose files are there; of several the host's own. Throws `usage`, with what to say instead. */
export function systemOf({ systems, remote }: Repository): System {
  const native = hosts.find(([host]) => host.test(remote?.host ?? ""))?.[1];
  const [only, second] = systems;
  if (only !== undefined && second === undefined) return only;
  if (native !== undefined && (only === undefined || systems.includes(native))) return native;
  const found = systems.map((system) => titles[system]).join(", ");
  throw new BrokerError(
    "usage",
    only === undefined ? "no CI system's files are here" : `several CI systems have files here: ${found}`,
    {
      hint: "name the one that runs the jobs with --ci, such as --ci github",
    },
  );
}
