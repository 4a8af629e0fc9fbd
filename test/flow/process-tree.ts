import { existsSync, readdirSync, readFileSync } from "node:fs";

interface Role {
  readonly name: string;
  readonly is: RegExp;
}

/** How each process of a broker is known, by its command line with blanks between the arguments. */
const roles: readonly Role[] = [
  { name: "serve", is: /^\S+node (\S+ )*\S+main\.ts serve /s },
  { name: "janitor", is: /^sh -c \ncd \/\n.* mayfly-janitor /s },
  { name: "janitor's wait", is: /^cat $/s },
  { name: "nest", is: /^sh -c \n.* mayfly-nest /s },
  { name: "init of the nest", is: /^\S*tini\S* -p SIGKILL -- /s },
  { name: "sandboxd", is: /^\S+node (\S+ )*\S+main\.ts sandboxd .* --nested /s },
  { name: "runtime", is: /^\S*(crun|runc) --root .* run --bundle /s },
  { name: "init of the job", is: /^\/run\/mayfly\/init -g -- /s },
  { name: "job", is: /^sleep /s },
];

/** The broker's process and all below it, by their roles; one that has none is named by its command line. */
export function processesOf(broker: number): ReadonlyMap<string, number> {
  const named = treeOf(broker).map((pid) => [roleOf(commandOf(pid)), pid] as const);
  return new Map(named);
}

function treeOf(pid: number): readonly number[] {
  return [pid, ...childrenOf(pid).flatMap(treeOf)];
}

/** The kernel counts a child to the thread that made it. */
function childrenOf(pid: number): readonly number[] {
  const threads = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : [];
  const children = threads.map((thread) => wordsOf(`/proc/${pid}/task/${thread}/children`));
  return children.join(" ").split(/\s+/).filter(Boolean).map(Number);
}

/** Blanks between the arguments. */
export function commandOf(pid: number): string {
  return wordsOf(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
}

/** Nothing of a process that has gone meanwhile. */
function wordsOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function roleOf(command: string): string {
  return roles.find(({ is }) => is.test(command))?.name ?? `unknown: ${command.slice(0, 80)}`;
}
