import { hour } from "../../time.ts";
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
  /** What its tokens are made for when nobody chooses: they are shown to others every day, so no broker may take them. */
  readonly usualAudiences: readonly RegExp[];
  /** Ids alone: a template must name one of them in full. None where the issuer itself says whose job it is. */
  readonly identifying: readonly string[];
  /** Whether a `sub` is a path below its issuer, whose owner hands out what is below: then `ISSUER/A/B/**` names somebody too. */
  readonly subjectIsPath: boolean;
  /** Its claims that somebody else can have too, or comes to have: they may never be made a `workload`. */
  readonly labels: readonly string[];
  /** Claims that are names: whoever gives one up cannot keep another from having it. None where a system has no ids. */
  readonly names: readonly string[];
  /**
   * Every claim of its tokens that can be matched on, beside those of every JWT; `PREFIX*` for claims that its users name. Undefined where
   * each instance has claims of its own. As the vendor documents them: what is added later is unknown here until it is written down.
   */
  readonly known: readonly string[] | undefined;
  /** Those of which one token holds several values. */
  readonly lists: readonly string[];
  /** What `trust` can come out as besides `unknown`. */
  readonly trusts: readonly Exclude<Trust, "unknown">[];
  /** Whether a job has one token from its first second to its last, and can never bring another. */
  readonly oneToken: boolean;
  /** Undefined where its claims cannot prove anything: then `unknown`, unless mayfly.yaml maps claims that its owner vouches for. */
  readonly trust: ((claims: Claims) => Trust) | undefined;
}

/** What `iss` looks like, so that a slip in `url` is found when the configuration is read and not when the first job is refused. */
export interface IssuerForm {
  /** What `url` is when it is left out; undefined where each instance or organisation has its own. */
  readonly usual: string | undefined;
  /** For people, with what varies in capitals. */
  readonly form: string;
  /** Not asked over plain http: whoever runs an issuer so, at a private address, has made it himself. */
  readonly fits: RegExp;
  /** What is asked of its path even then. */
  readonly path: RegExp | undefined;
  /** What nobody but this vendor issues from: no other preset takes it, least of all one whose trust an operator maps. */
  readonly vendors: RegExp | undefined;
}

/** What most systems have in common; a preset states where it differs, and what identifies. */
export const common = {
  chosenBy: "iss",
  audience: undefined,
  usualAudiences: [],
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
  subjectIsPath: false,
  labels: [],
  names: [],
  known: undefined,
  lists: [],
  trusts: [],
  oneToken: false,
} as const satisfies Partial<Preset>;

const label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?";
/** A host as an `iss` has it: a name in lower case or an address, and a port where it is not https's own. */
export const host = `(?:${label}(?:\\.${label})*|\\[[0-9a-f:.]+\\])(?::[0-9]{1,5})?`;
export const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
