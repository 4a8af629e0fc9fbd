/** A claim as it was sent; what counts seconds (RFC 7519 section 4.1) as a time too. */
export function claimText(claim: string, value: unknown): string {
  const moment = times.includes(claim) ? momentText(value) : undefined;
  return `${claim} ${JSON.stringify(value)}${moment === undefined ? "" : ` (${moment})`}`;
}

const times: readonly string[] = ["iat", "nbf", "exp", "auth_time"];

/** The last second that ECMAScript can tell (ECMA-262, "Time Values"). */
const last = 8.64e12;

/** RFC 3339; undefined where it is no second that anybody could mean. */
export function momentText(second: unknown): string | undefined {
  if (typeof second !== "number" || Math.abs(second) > last) return undefined;
  return new Date(second * 1000).toISOString().replace(".000Z", "Z");
}
