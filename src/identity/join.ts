/**
 * Several parts as one text from which they can be read back, so that two different lists never give the same text: without
 * the escape, `a:b` + `c` and `a` + `b:c` would be one identity (hardening P-06). Ids and names stay readable.
 */
export function joined(parts: readonly string[]): string {
  return parts.map(escaped).join(":");
}

function escaped(part: string): string {
  return /[%:]/.test(part) ? part.replaceAll("%", "%25").replaceAll(":", "%3A") : part;
}
