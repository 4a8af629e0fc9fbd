import type { KnownKey } from "./keyset.ts";

/** A key so that no other can be meant: neither names nor kids have blanks, and another key under the same kid has another thumbprint. */
export function keyName(issuer: string, { kid, thumbprint }: KnownKey): string {
  return `${issuer} ${kid} ${thumbprint}`;
}

/** Whose key a name is of. */
export function issuerIn(name: string): string {
  return name.slice(0, Math.max(name.indexOf(" "), 0));
}
