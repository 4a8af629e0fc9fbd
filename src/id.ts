/** What an id names; its first letters say so wherever it turns up. */
const prefixes = { run: "run", session: "ses", lease: "lse", denial: "den", observation: "obs" } as const;

/** 100 random bits, so that ids are never guessed and never meet; safe in file names, cgroup names and upstream metadata. */
export function newId(of: keyof typeof prefixes, random: (bytes: number) => Buffer): string {
  return `${prefixes[of]}-${random(13).toString("hex").slice(0, 25)}`;
}
