/** What an operator does next about Vault's usual refusals. None of Vault's words, no name and no value is in a hint: it may be shown to a job. */
interface Usual {
  readonly status?: number;
  /** Vault's and OpenBao's own words, as their sources have them. */
  readonly words?: RegExp;
  readonly hint: string;
}

const usual: readonly Usual[] = [
  { words: /is sealed/i, hint: "vault is sealed: unseal it" },
  { words: /namespace not found/, hint: "the namespace of the provider's entry does not exist, or is spelled otherwise" },
  {
    words: /no handler for route|unsupported path/,
    hint: "nothing is mounted there, or it is in another namespace; OpenBao has no aws, gcp or azure engine",
  },
  { words: /audience/, hint: "the login role's bound_audiences must contain the audience of the provider's login" },
  {
    words: /token is expired|not yet valid|issued in the future|\(iat\)|\(nbf\)|\(exp\)/,
    hint: "the clocks of the broker and of vault differ: check NTP on both",
  },
  { words: /invalid issuer/, hint: "the jwt mount's bound_issuer must be the issuer that `mayfly keys show` prints" },
  {
    words: /signature|no known key/,
    hint: "the jwt mount does not know the broker's key: give it what `mayfly keys show` prints",
  },
  {
    words: /claim .* does not match/,
    hint: "the login role's bound_claims do not fit: a role for jobs binds purpose mint, the sweeper's binds purpose end",
  },
  {
    words: /role .*could not be found|unknown role|role .* does not exist|invalid role name|role .* not found/i,
    hint: "there is no such role: check the login's, the sweeper's and the path's",
  },
  {
    words: /invalid role or secret ID|invalid role ID|invalid secret id/i,
    hint: "the role id and the secret id do not belong together, or the secret id was used up",
  },
  {
    words: /wrapping token is not valid/,
    hint: "the wrapping token was opened before or has expired: if it was not this broker, treat what it held as stolen; put a fresh one there",
  },
  { words: /subset of/, hint: "the login's token lacks a policy that the template asks for: add it to the role's policies" },
  {
    words: /key_id is not allowed/,
    hint: "set allow_user_key_ids on the ssh role, so that each certificate carries its lease's name",
  },
  { words: /ttl is larger|exceeds? max/i, hint: "the role's max_ttl is below the template's ttl" },
  { words: /not renewable|invalid accessor/, hint: "the token has ended, or its role makes tokens that cannot be renewed" },
  { words: /rate limit|quota/i, hint: "a quota of vault is used up: raise it, or let jobs start more slowly" },
  { status: 429, hint: "vault throttles, or is a standby: raise its quota, or point the address at the active node" },
  { status: 503, hint: "vault is sealed, in maintenance or starting" },
  { status: 307, hint: "this is a standby that forwards nothing: point the address at the active node or at a balancer" },
  { status: 403, hint: "the role's policy lacks this path, or the namespace or the mount of the login is not the right one" },
  { status: 404, hint: "nothing is stored at this path, or no engine is mounted there" },
  { status: 405, hint: "this engine does not answer at this path: check the template's path and kind" },
];

/** The first that fits, words before a bare status. */
export function hintOf(status: number, errors: readonly string[]): string | undefined {
  const told = errors.join("\n");
  return usual.find((one) => (one.status ?? status) === status && (one.words?.test(told) ?? true))?.hint;
}
