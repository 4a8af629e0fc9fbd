import { type Piece, piecesOf, rest } from "./shell-line.ts";

type Words = readonly string[];

/** Deeper than anybody nests shells, and looked at further than anybody writes options. */
const deepest = 8;
const far = 32;

/** Whether a command fetches what it runs, as far as its words show it. Linear in their length, since each word is a line once at most. */
export function fetches(command: Words, depth = 0): boolean {
  if (depth > deepest) return true;
  return (
    programsAt(command).some((at) => isFetcher(command, at)) || linesOf(command).some((line) => lineFetches(line, depth + 1))
  );
}

/** The line that a shell reads in this command, where what the runner passes as environment decides what becomes of it. */
export function expandedLine(command: Words): string | undefined {
  return linesOf(command).find((line) => /[$`]/.test(line));
}

/** They start what their arguments name; in a shell's line its keywords do as well. */
const starters: ReadonlySet<string> = new Set(
  [
    ["env", "busybox", "toybox", "sudo", "doas", "su-exec", "gosu", "setpriv", "runuser", "chroot", "unshare", "nsenter"],
    ["nohup", "nice", "ionice", "chrt", "timeout", "time", "stdbuf", "setsid", "xargs", "parallel", "watch", "strace"],
    ["tini", "dumb-init", "catatonit", "exec", "eval", "command", "builtin", "corepack"],
    ["!", "{", "if", "then", "else", "elif", "while", "until", "do"],
  ].flat(),
);

/** Where the name of a program stands: of the first word, and of those that it starts. */
function programsAt(words: Words): readonly number[] {
  const found: number[] = [];
  const seen = new Set<number>();
  const ahead = [0];
  for (const at of ahead) {
    const word = words[at];
    if (word === undefined || seen.has(at)) continue;
    seen.add(at);
    if (starters.has(nameOf(word)) || isSetting(word)) ahead.push(...operandsAt(words, at));
    else found.push(at);
  }
  return found;
}

/** The first word that is no option; where an option stands before it, it may be that option's value, and the one after it is meant. */
function operandsAt(words: Words, at: number): readonly number[] {
  const first = operandFrom(words, at + 1);
  return first > at + 1 && words[first - 1]?.startsWith("-") === true ? [first, operandFrom(words, first + 1)] : [first];
}

function operandFrom(words: Words, from: number): number {
  let next = from;
  while (isNoOperand(words[next])) next += 1;
  return next;
}

function isNoOperand(word: string | undefined): boolean {
  return word !== undefined && (word.startsWith("-") || isSetting(word) || /^\d+[a-z]?$/.test(word));
}

function isSetting(word: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*=/.test(word);
}

function nameOf(word: string): string {
  return word.slice(word.lastIndexOf("/") + 1);
}

const fetchers: ReadonlySet<string> = new Set(["npx", "bunx", "uvx", "pnpx", "dnx"]);

/** With these words after them; of two, one after the other. */
const fetchingVerbs: ReadonlyMap<string, readonly string[]> = new Map([
  ["npm", ["exec", "x", "create"]],
  ["pnpm", ["exec", "dlx", "create"]],
  ["yarn", ["exec", "dlx", "create"]],
  ["bun", ["exec", "x", "create"]],
  ["pipx", ["run"]],
  ["uv", ["tool run"]],
  ["docker", ["run", "container run", "compose run"]],
  ["podman", ["run", "container run"]],
  ["nerdctl", ["run", "container run"]],
  ["nix", ["run"]],
]);

function isFetcher(words: Words, at: number): boolean {
  const name = nameOf(words[at] ?? "");
  const after = words.slice(at + 1, at + 1 + far);
  if (fetchers.has(name)) return after.length > 0;
  if (name === "go") return after[0] === "run" && after.some((word) => word.includes("@"));
  if (name === "deno") return after.some((word) => /^(?:https?|npm|jsr):/.test(word));
  const verbs = fetchingVerbs.get(name) ?? [];
  return operandsAt(words, at).some((verb) => {
    const [one = "", two = ""] = [words[verb], words[verb + 1]];
    return verbs.includes(one) || verbs.includes(`${one} ${two}`);
  });
}

const shells: ReadonlySet<string> = new Set("sh bash dash zsh ksh mksh ash fish rbash yash".split(" "));

/**
 * The words that are read as a shell's line: all that follows a shell's `-c`, however that is joined with other options, and a program's name with
 * blanks in it, which is what `eval` and `env -S` are given.
 */
function linesOf(words: Words): readonly string[] {
  const lines = programsAt(words).flatMap((at) => [...(/\s/.test(words[at] ?? "") ? [at] : []), ...toldTo(words, at)]);
  return [...new Set(lines)].map((at) => words[at] ?? "");
}

function toldTo(words: Words, at: number): readonly number[] {
  if (!shells.has(nameOf(words[at] ?? ""))) return [];
  const after = words.slice(at + 1, at + 1 + far);
  const told = after.findIndex((word) => /^[-+][A-Za-z]+$/.test(word) && word.includes("c"));
  return told < 0 ? [] : after.slice(told + 1).map((_, index) => at + told + 2 + index);
}

/** A program that the line fetches and runs itself, or a download that an interpreter reads. */
function lineFetches(line: string, depth: number): boolean {
  let flows = false;
  let before: Piece | undefined;
  for (const piece of piecesOf(line)) {
    const loads = downloads(piece.words);
    if (fetches(piece.words, depth) || runsDownload(piece, { before, flows, loads })) return true;
    flows = loads || (flows && passesOn(piece));
    before = piece;
  }
  return false;
}

interface Flow {
  readonly before: Piece | undefined;
  /** Whether a download comes in. */
  readonly flows: boolean;
  /** Whether the piece itself is one. */
  readonly loads: boolean;
}

function runsDownload({ joined, words }: Piece, { before, flows, loads }: Flow): boolean {
  return joined === "pipe" ? flows && reads(words) : joined === "inside" && loads && runsWords(before);
}

/** Whether what comes in goes on to the next piece. */
function passesOn({ joined, words }: Piece): boolean {
  return joined === "pipe" || words.length === 0 || words[0] === rest || words[0] === "}";
}

function downloads(words: Words): boolean {
  return programsAt(words).some((at) => ["curl", "wget", "fetch", "aria2c", "http", "https"].includes(nameOf(words[at] ?? "")));
}

/** Whether it runs what comes in: a shell, or another interpreter that is given nothing else to run. */
function reads(words: Words): boolean {
  return programsAt(words).some((at) => {
    const name = nameOf(words[at] ?? "");
    const other = /^(?:python|perl|ruby|node|php|pwsh|lua)[\d.]*$/.test(name) && ["-", undefined].includes(words[at + 1]);
    return shells.has(name) || other;
  });
}

/** Whether words that are put in after these are run. */
function runsWords(piece: Piece | undefined): boolean {
  const words = piece?.words.filter((word) => word !== "") ?? [];
  if (words.length === 0 || words.some((word) => ["eval", "source", "."].includes(word))) return true;
  return programsAt(words).some((at) => shells.has(nameOf(words[at] ?? "")));
}
