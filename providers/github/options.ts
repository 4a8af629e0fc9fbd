import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { type Filled, slot } from "../../src/lease/provider.ts";

/**
 * GitHub takes 500, but answers with a full description of each, several kilobytes long; of an answer at most a megabyte is read, and a token
 * whose answer is not read could not be ended.
 */
const mostRepositories = 100;

const repositoryName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;
const repositoryId = /^[1-9][0-9]{0,15}$/;

/** What is written without a slot is known to be right when the template loads; what a claim fills in is asked again before the call. */
const repository = slot("path-segment").refine(
  (text) => text.slots.length > 0 || repositoryName.test(text.sample ?? ""),
  "write a repository's name without its owner: the installation has but one",
);

const numbered = z.preprocess(
  (given) => (typeof given === "number" ? String(given) : given),
  slot("name").refine(
    (text) => text.slots.length > 0 || repositoryId.test(text.sample ?? ""),
    "write a repository's id, a number",
  ),
);

const level = z.enum(["read", "write", "admin"]);

export type Level = z.output<typeof level>;

/** The template's part. There is no way to leave out either: GitHub would take that for all that the App may do, everywhere. */
export const options = z
  .strictObject({
    repositories: z
      .array(repository)
      .min(1)
      .max(mostRepositories)
      .optional()
      .describe("Names without the owner. An id is the better choice: a name can pass to another repository."),
    repository_ids: z
      .array(numbered)
      .min(1)
      .max(mostRepositories)
      .optional()
      .describe("Ids, such as `{repository_id}` of GitHub's own identity tokens."),
    permissions: z
      .record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/, "write the permission as the API names it: pull_requests"), level)
      .refine((given) => Object.keys(given).length > 0, "name at least one permission")
      .describe("What the token may do there, `read`, `write` or `admin` each; at most what the App was given."),
  })
  .refine(({ repositories, repository_ids }) => (repositories === undefined) !== (repository_ids === undefined), {
    message: "name repositories or repository_ids: one of both",
  });

export type GithubOptions = z.output<typeof options>;

/** What GitHub is asked for, and what its answer is held against. */
export interface Scope {
  readonly by: "id" | "name";
  /** In lower case where they are names: GitHub tells no case. */
  readonly repositories: ReadonlySet<string>;
  readonly permissions: Readonly<Record<string, Level>>;
}

/** Throws `provider-refused` where a claim filled in what is no repository. */
export function scopeOf({ repositories, repository_ids: ids, permissions }: Filled<GithubOptions>): Scope {
  const by = ids === undefined ? "name" : "id";
  const given = ids ?? repositories ?? [];
  const shape = by === "id" ? repositoryId : repositoryName;
  if (given.length === 0 || !given.every((one) => shape.test(one)))
    throw new BrokerError("provider-refused", `filled with its claims, the template names no repository's ${by}`);
  return { by, repositories: new Set(given.map((one) => one.toLowerCase())), permissions };
}

/** The request's body: always with both. */
export function bodyOf({ by, repositories, permissions }: Scope): string {
  const named = [...repositories];
  return JSON.stringify(
    by === "id" ? { repository_ids: named.map(Number), permissions } : { repositories: named, permissions },
  );
}
