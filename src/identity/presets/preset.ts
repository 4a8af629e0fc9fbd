import type { Trust } from "../identity.ts";
import type { Claims, Profile } from "../profile.ts";

/** What a CI system's tokens are known to be like, so that mayfly.yaml need not say it. */
export interface Preset
  extends Pick<
    Profile,
    | "chosenBy"
    | "algorithms"
    | "type"
    | "header"
    | "maxSize"
    | "maxLifetime"
    | "required"
    | "text"
    | "nested"
    | "workload"
    | "job"
    | "jobWhereSent"
    | "jti"
    | "refuses"
    | "keyUse"
  > {
  readonly issuer: IssuerForm;
  /** The only audience that this system's tokens can be made for; undefined where a job may choose. */
  readonly audience: string | undefined;
  /** Ids alone: a template must name one of them, or a claim of `workload`, without a glob. Names are labels. */
  readonly identifying: readonly string[];
  /** Undefined where its claims cannot prove anything: then `unknown`, unless mayfly.yaml maps claims that its owner vouches for. */
  readonly trust: ((claims: Claims) => Trust) | undefined;
}

/** What `iss` looks like, so that a slip in `url` is found when the configuration is read and not when the first job is refused. */
export interface IssuerForm {
  /** What `url` is when it is left out; undefined where each instance or organisation has its own. */
  readonly usual: string | undefined;
  /** For people, with what varies in capitals. */
  readonly form: string;
  readonly fits: RegExp;
}

export const minute = 60_000;
export const hour = 60 * minute;

/** What most systems have in common; a preset states where it differs, and what identifies. */
export const common = {
  chosenBy: "iss",
  audience: undefined,
  algorithms: ["RS256"],
  type: "JWT",
  header: [],
  maxSize: 8192,
  maxLifetime: hour,
  required: [],
  text: [],
  nested: [],
  jobWhereSent: [],
  jti: "required",
  refuses: () => undefined,
  keyUse: "sig",
  trust: undefined,
} as const satisfies Partial<Preset>;

/** A host's name as an `iss` has it: lower case, and a port only where it is not https's own. */
export const host = "[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{2,5})?";
export const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
