import type { Path, TemplateDocument } from "./document.ts";
import { fillEach, namedIn, type Variables } from "./each.ts";

/** One entry of a `for_each`, and the file that has it. */
export interface Filler {
  readonly document: TemplateDocument;
  readonly entry: string;
  readonly variables: Variables;
}

/** The same document, but that what is wrong with a text which variables were put into is said of the entry that put them there. */
export function blaming(document: TemplateDocument, fillers: readonly Filler[]): TemplateDocument {
  if (fillers.length === 0) return document;
  const problem: TemplateDocument["problem"] = (path, message, fix) => {
    const written = document.valueAt(path);
    if (typeof written === "string")
      return ofText({ written, path }, fillers)?.(message, fix) ?? document.problem(path, message, fix);
    const entries = Array.isArray(written) ? fillers.filter((filler) => fills(filler, written)) : [];
    const where = entries.map(({ entry }) => `, in entry ${entry} of for_each`).join("");
    return document.problem(path, `${message}${where}`, fix);
  };
  return { ...document, problem };
}

/** Who extends what, and for which entry of its own `for_each`. */
interface Extending {
  readonly base: { readonly file: string } | undefined;
  readonly documents: readonly [TemplateDocument, ...TemplateDocument[]];
  readonly fillers: { readonly own: readonly Filler[] };
}

/** The same document, but that what is asked of a child is said of the child where only its base has it: the base may be right for others. */
export function ofChild(
  document: TemplateDocument,
  {
    base,
    documents: [mine],
    fillers: {
      own: [filler],
    },
  }: Extending,
): TemplateDocument {
  if (base === undefined) return document;
  const at = filler === undefined ? ["extends"] : ["for_each", filler.entry];
  const problem: TemplateDocument["problem"] = (path, message, fix) => {
    const found = document.problem(path, message, fix);
    if (found.file !== base.file) return found;
    return mine.problem(at, `${found.key}: ${found.message} (${found.file}:${found.line})`, fix);
  };
  return { ...document, problem };
}

type Say = (message: string, fix?: string) => ReturnType<TemplateDocument["problem"]>;

function ofText(
  { written, path }: { readonly written: string; readonly path: Path },
  fillers: readonly Filler[],
): Say | undefined {
  const [filler] = fillers.filter((one) => fills(one, [written]));
  if (filler === undefined) return undefined;
  const { document, entry, variables } = filler;
  const names = namedIn(written).filter((name) => Object.hasOwn(variables, name));
  const filled = fillers.reduce<unknown>(
    (text, one) => fillEach(text, one.variables, { used: new Set(), left: longest }),
    written,
  );
  const at = ["for_each", entry, ...(new Set(names).size === 1 ? names.slice(0, 1) : [])];
  return (message, fix) => document.problem(at, `${path.map(String).join(".")} is then ${shortened(filled)}: ${message}`, fix);
}

const longest = 65_536;

function shortened(text: unknown): string {
  const shown = JSON.stringify(text);
  return shown.length > 128 ? `${shown.slice(0, 128)}…` : shown;
}

function fills({ variables }: Filler, texts: readonly unknown[]): boolean {
  return texts.some((text) => typeof text === "string" && namedIn(text).some((name) => Object.hasOwn(variables, name)));
}
