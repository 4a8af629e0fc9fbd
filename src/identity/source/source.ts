import { BrokerError } from "../../errors.ts";
import { Secret } from "../../secret.ts";
import { NoToken } from "./endpoint.ts";
import { finders, type Surroundings } from "./finders.ts";
import { remedies } from "./remedy.ts";
import { detectSystem, isSystem, projectedToken, type System, systems, titles } from "./system.ts";

/** Where a token is looked for. */
export type TokenSource =
  | { readonly kind: "file"; readonly path: string }
  /** Where the named CI system puts it, or the one that we seem to be in. */
  | { readonly kind: "system"; readonly system: System | "auto" };

/** `--token`: `auto`, a CI system's name, or else a file; one that is called like a system is `./github`. */
export function sourceOf(flag: string, path: (text: string) => string): TokenSource {
  if (flag === "auto" || isSystem(flag)) return { kind: "system", system: flag };
  return { kind: "file", path: path(flag) };
}

export interface TokenWish {
  readonly from: TokenSource;
  /** Whom to have a token made for; asked only where the CI system lets a job choose, or for the lines to paste. */
  readonly audience: (system: System) => Promise<string>;
}

/**
 * The identity token of the job we are in. Throws `token-missing`, whose hint is what to add to the job's definition; what
 * `audience` throws is passed on.
 */
export async function findToken(wish: TokenWish, around: Surroundings, signal: AbortSignal): Promise<Secret> {
  if (wish.from.kind === "file") return fromFile(wish.from.path, around);
  const system = wish.from.system === "auto" ? await whereWeAre(around) : wish.from.system;
  const audience = () => wish.audience(system);
  try {
    const text = (await finders[system]({ ...around, audience, signal })).trim();
    if (text === "") throw new NoToken("it is empty");
    return Secret.of(text);
  } catch (error) {
    if (!(error instanceof NoToken)) throw error;
    const remedy = remedies[system];
    throw missing(system, typeof remedy === "string" ? remedy : remedy(await audience()), error);
  }
}

async function whereWeAre({ environment, readFile }: Surroundings): Promise<System> {
  const mounted = readFile(projectedToken).then(
    () => true,
    () => false,
  );
  const system = detectSystem(environment, await mounted);
  if (system !== undefined) return system;
  throw new BrokerError("token-missing", "no CI system was recognised", {
    hint: `name the token's file with --token FILE, or the system: ${systems.join(", ")}`,
  });
}

function missing(system: System, hint: string, cause: NoToken): BrokerError {
  const message = `this looks like ${titles[system]}, but there is no identity token: ${cause.message}`;
  return new BrokerError("token-missing", message, { hint, cause });
}

async function fromFile(path: string, { readFile }: Surroundings): Promise<Secret> {
  const text = await readFile(path).catch((cause: unknown) => {
    throw new BrokerError("token-missing", `${path} cannot be read`, {
      hint: "name the file that holds the token, or use --token auto",
      cause,
    });
  });
  if (text.trim() === "")
    throw new BrokerError("token-missing", `${path} is empty`, { hint: "the file holds the token and nothing else" });
  return Secret.of(text.trim());
}
