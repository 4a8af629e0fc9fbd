import process from "node:process";

/** The process's environment, read here and nowhere else; a copy, so that nobody can change it for somebody else. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return { ...process.env };
}
