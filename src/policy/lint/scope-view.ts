import type { Path } from "../language/document.ts";
import { own, plainOf } from "../language/plain.ts";
import type { Linted } from "./rule.ts";

/** A text in what a credential asks of its provider, slots and all. */
export interface ScopeText {
  readonly path: Path;
  readonly text: string;
}

/** Every text in the options of each credential, in the template's final form. */
export function scopesOf(linted: Pick<Linted, "template" | "written">): Linted["scopes"] {
  return new Map(
    [...linted.template.credentials.keys()].map((name) => {
      const texts: ScopeText[] = [];
      eachText(scopeOf(linted, name), ["credentials", name], (path, text, kind) => {
        if (kind === "value") texts.push({ path: [...path], text });
      });
      return [name, texts];
    }),
  );
}

export function scopeTexts({ scopes }: Linted, credential: string): readonly ScopeText[] {
  return scopes.get(credential) ?? [];
}

/** What the author wrote for it, after `extends` and `for_each`; what Mayfly itself reads of a credential is left out. */
export function scopeOf({ template, written }: Pick<Linted, "template" | "written">, credential: string): unknown {
  const whole = member(member(template.expanded, "credentials") ?? member(written, "credentials"), credential);
  if (typeof whole !== "object" || whole === null) return undefined;
  return Object.fromEntries(Object.entries(whole).filter(([key]) => !ours.includes(key)));
}

const ours = ["provider", "ttl", "wait", "optional", "deliver"];

/** Every text in it, at any depth, with the one path that it has until the next is told. */
export function eachText(
  value: unknown,
  path: PropertyKey[],
  tell: (path: Path, text: string, kind: "value" | "key") => void,
): void {
  if (typeof value === "string") return tell(path, value, "value");
  if (typeof value !== "object" || value === null) return;
  const isList = Array.isArray(value);
  for (const [key, inner] of Object.entries(value)) {
    path.push(isList ? Number(key) : key);
    if (!isList) tell(path, key, "key");
    eachText(inner, path, tell);
    path.pop();
  }
}

/** A part of a file's plain value; undefined where it is not there. */
export function member(value: unknown, key: string): unknown {
  return own(plainOf(value), key);
}
