import type { Service } from "./config.ts";

interface Sentence {
  readonly message?: string;
  readonly hint?: string;
}

/** Told so before anything was done (AWS STS and IAM, "Common errors"); the SDK calls the same ones retryable. */
const busy: ReadonlySet<string> = new Set([
  "Throttling",
  "ThrottledException",
  "ThrottlingException",
  "Throttled",
  "RequestThrottled",
  "RequestLimitExceeded",
  "TooManyRequests",
  "ServiceUnavailable",
  "IDPCommunicationError",
  "ConcurrentModification",
]);

export function isBusy(code: string): boolean {
  return busy.has(code);
}

const clock: Sentence = {
  message: "aws finds the request too old or too new",
  hint: "compare this host's clock with a time server's",
};

const sentences: Readonly<Record<string, Sentence>> = {
  InvalidIdentityToken: {
    message: "aws does not accept the broker's proof",
    hint: "the account needs an identity provider with exactly the issuer's URL, whose keys are those of `mayfly keys jwks`",
  },
  IDPRejectedClaim: {
    message: "aws does not accept the broker's proof",
    hint: "the identity provider's client ids must hold the provider's `audience`",
  },
  IDPCommunicationError: {
    message: "aws cannot fetch the broker's keys",
    hint: "the issuer's URL must answer from the internet: see `mayfly keys publish`",
  },
  ExpiredToken: clock,
  RequestExpired: clock,
  RequestTimeTooSkewed: clock,
  PackedPolicyTooLarge: {
    message: "the session policy and the tags are too large together",
    hint: "AWS packs both into the session: shorten the template's policy, or use fewer tags",
  },
  MalformedPolicyDocument: {
    message: "aws does not accept the session policy",
    hint: "check the template's policy in IAM's own editor",
  },
  RegionDisabled: {
    message: "sts is switched off in this region",
    hint: "activate the region for the account, or use another",
  },
  InvalidClientTokenId: {
    message: "aws does not know the host's credentials",
    hint: "see `aws sts get-caller-identity` as the broker's user",
  },
  SignatureDoesNotMatch: {
    message: "aws does not accept the host's signature",
    hint: "the host's secret key is another, or its clock is wrong",
  },
  ResourceNotFound: { message: "there is no such secret", hint: "check its name and the provider's region" },
  ParameterNotFound: { message: "there is no such parameter", hint: "check its name and the provider's region" },
  DecryptionFailure: { message: "the secret cannot be decrypted", hint: "the role needs kms:Decrypt for the secret's key" },
  InvalidRequest: { message: "the secret cannot be read", hint: "it may be scheduled for deletion" },
  NoSuchEntity: { message: "there is no such role", hint: "a role that is gone has no sessions left that could do anything" },
  LimitExceeded: {
    message: "the role holds as many denies as IAM takes",
    hint: "10,240 characters of inline policies: shorten the template's ttl, or spread its jobs over more roles",
  },
};

const denied: Readonly<Record<Service, Sentence>> = {
  sts: {
    message: "aws does not let the broker take on the role",
    hint: "does the role exist, and does its trust policy allow this broker sts:AssumeRoleWithWebIdentity (as host: sts:AssumeRole), sts:TagSession and sts:SetSourceIdentity?",
  },
  iam: {
    message: "aws does not let the sweeper deny the session",
    hint: "the sweeper's role needs iam:ListRolePolicies, iam:PutRolePolicy and iam:DeleteRolePolicy on the roles of jobs",
  },
  secretsmanager: {
    message: "the role may not read this secret",
    hint: "it needs secretsmanager:GetSecretValue, and kms:Decrypt for its key",
  },
  ssm: { message: "the role may not read this parameter", hint: "it needs ssm:GetParameter, and kms:Decrypt for its key" },
};

/** What the caller may hear, and what the operator can do; AWS's own words stay in the log. */
export function sentenceOf(service: Service, code: string, words: string): Sentence | undefined {
  if (code.startsWith("AccessDenied")) return denied[service];
  if (code === "ValidationError") return validation(words);
  if (isBusy(code) && sentences[code] === undefined)
    return { message: "aws takes no more requests at the moment", hint: "the account's request rate is used up" };
  return sentences[code];
}

function validation(words: string): Sentence | undefined {
  if (/chaining/i.test(words))
    return { message: "a role that a role takes on lives at most an hour", hint: "set the template's ttl to at most 1h" };
  if (/MaxSessionDuration|DurationSeconds/.test(words))
    return {
      message: "the role does not take sessions of this length",
      hint: "lower the ttl, or raise the role's maximum session duration",
    };
  return undefined;
}
