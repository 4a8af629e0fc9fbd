import type { Claim, Identity } from "../../../../src/identity/identity.ts";
import { isMap, listOf, mapOf, type Plain, type Written } from "../written.ts";

/** Whether every line of a `who` holds, by what the language says and nothing else. */
export function whoHolds(who: Written, identity: Identity): boolean {
  return Object.entries(who).every(([key, value]) => {
    switch (key) {
      case "not":
        return Object.entries(mapOf(value)).every(([claim, refused]) => !has(claim, refused, identity, true));
      case "absent":
        return listOf(value).every((claim) => claimOf(String(claim), identity) === undefined);
      case "any":
        return listOf(value).some((alternative) => isMap(alternative) && whoHolds(alternative, identity));
      default:
        return has(key, value, identity, false);
    }
  });
}

export function claimOf(claim: string, identity: Identity): Claim | undefined {
  if (claim === "issuer") return identity.issuer;
  if (claim === "trust") return identity.trust;
  return Object.prototype.hasOwnProperty.call(identity.claims, claim) ? identity.claims[claim] : undefined;
}

/** Whether the claim is there, and any of the values is any of its items. */
function has(claim: string, values: Plain, identity: Identity, refusing: boolean): boolean {
  const found = claimOf(claim, identity);
  if (found === undefined) return false;
  const items = typeof found === "object" ? found : [found];
  return items.some((item) => listOf(values).some((value) => isValue(value, item, refusing)));
}

/** `refusing`: under `not` a winding path is refused as what it says; elsewhere no glob takes it, since others may resolve it. */
function isValue(value: Plain, item: string | number | boolean, refusing: boolean): boolean {
  if (typeof value === "boolean" || typeof item === "boolean") return value === item;
  const text = String(item);
  if (typeof value !== "string") return false;
  if (!value.includes("*")) return value === text;
  const winding = text.split(/[/:]/).some((segment) => segment === "." || segment === "..");
  return (refusing || !winding) && globOf(value).test(text);
}

/** `*` is anything within a segment; a last `**` is anything at all. */
function globOf(glob: string): RegExp {
  const open = glob.endsWith("**");
  const head = open ? glob.slice(0, -2) : glob;
  const pieces = head.split("*").map((piece) => piece.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`));
  return new RegExp(`^${pieces.join("[^/:]*")}${open ? String.raw`[\s\S]*` : ""}$`);
}
