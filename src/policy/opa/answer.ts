import { z } from "zod";
import { duration } from "../../duration.ts";
import { codes } from "../../errors.ts";
import type { Decision, Grant, GrantedCredential } from "../grant.ts";
import { lastWordLine } from "./last-word.ts";

const line = z.string().regex(/^[^\p{Cc}]{0,500}$/u, "write one line of at most 500 characters");

/** Whole seconds: no provider counts in less, and a life of a millisecond would be no credential. */
const life = duration.refine((span) => span % 1_000 === 0, "write a life in whole seconds: 90s, 15m or 12h");

/** Strict: a key that nobody reads would look like a rule that holds. */
const schema = z.union([
  z.boolean().transform((allow) => ({ allow })),
  z.strictObject({
    allow: z.boolean(),
    /** For the operator and the ledger; the caller hears the code's own sentence. */
    reason: line.optional(),
    /** A shorter life, by the credential's name. */
    ttl: z.record(z.string(), life).optional(),
    /** Credentials that the run does not get. */
    without: z.array(z.string()).optional(),
    id: z
      .string()
      .regex(/^[A-Za-z0-9._:/-]{1,128}$/, "an id is at most 128 letters, digits and '._:/-'")
      .optional(),
  }),
]);

export type Answer = {
  readonly allow: boolean;
  readonly reason?: string | undefined;
  readonly ttl?: Readonly<Record<string, number>> | undefined;
  readonly without?: readonly string[] | undefined;
  readonly id?: string | undefined;
};

/** Throws where it is anything but an answer. */
export function readAnswer(result: unknown): Answer {
  if (result === undefined) throw new Error("no rule gave an answer: write a default");
  refuseUnseen(result);
  const parsed = schema.safeParse(result);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues.flatMap((one) => (one.code === "invalid_union" ? (one.errors.at(-1) ?? []) : [one]));
  throw new Error(`the answer is not understood: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not an answer"}`);
}

/** The schema passes this key over, in any object. */
function refuseUnseen(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (name === "__proto__") throw new Error("the answer is not understood: it has a key that nobody reads: __proto__");
    refuseUnseen(inner);
  }
}

/** The grant itself, a narrower one, or the denial. Throws where the answer asks for more than was granted. */
export function apply<D, I>(grant: Grant<D, I>, answer: Answer): Decision<D, I> {
  if (!answer.allow) return overruled(grant, answer.reason);
  const { ttl = {}, without = [] } = answer;
  const granted = new Map(grant.credentials.map((credential) => [credential.name, credential]));
  const [unknown] = [...without, ...Object.keys(ttl)].filter((name) => !granted.has(name));
  if (unknown !== undefined) throw new Error(`the answer names ${unknown}, which is no credential of this run`);
  const shorter = new Map(Object.entries(ttl));
  const credentials = grant.credentials
    .filter(({ name }) => !without.includes(name))
    .map((credential) => shortened(credential, shorter.get(credential.name)));
  if (without.length + shorter.size === 0) return grant;
  return { ...grant, credentials, reason: `${grant.reason}, narrowed by the site's last word` };
}

function shortened<D>(credential: GrantedCredential<D>, ttl: number | undefined): GrantedCredential<D> {
  if (ttl === undefined) return credential;
  if (ttl > credential.ttl) throw new Error(`the answer gives ${credential.name} a longer life than the template does`);
  return { ...credential, ttl };
}

function overruled({ template, policy }: Grant<unknown, unknown>, reason = "it denies"): Decision<never, never> {
  const lines = [{ line: lastWordLine, held: false, expected: "allow", found: reason }];
  return {
    kind: "denied",
    code: "overruled",
    message: codes.overruled,
    policy,
    trace: [{ template, matched: true, lines }],
  };
}
