import { bare } from "./bare.ts";
import type { Claim } from "./identity.ts";
import { isList, isObject, type Json, type JsonObject } from "./json.ts";
import type { Claims, Profile } from "./profile.ts";

/** What a token says in its profile's words: as it is written, and as much of it as can be matched on. */
export interface ReadClaims {
  /** The token's members, and what its profile believes of their inside, under names of their own. */
  readonly written: JsonObject;
  /** Those of other shapes (null, objects, mixed lists) cannot be matched on and are left out, which makes them absent. */
  readonly claims: Claims;
}

/** Judges nothing: for that, see `rules.ts`. */
export function readClaims(members: JsonObject, { nested }: Pick<Profile, "nested">): ReadClaims {
  const written = nested.length === 0 ? members : bare([...Object.entries(members), ...inside(members, nested)]);
  return { written, claims: matchable(written) };
}

function inside(members: JsonObject, nested: Profile["nested"]): readonly (readonly [string, Json])[] {
  return nested.flatMap(({ path, as }) => {
    const value = memberAt(members, path);
    return value === undefined ? [] : [[as, value] as const];
  });
}

/** Null, which no claim is, where something on the way is there but not an object: it must not pass for absent. */
function memberAt(value: Json | undefined, [name, ...rest]: readonly string[]): Json | undefined {
  if (name === undefined || value === undefined) return value;
  return isObject(value) ? memberAt(Object.hasOwn(value, name) ? value[name] : undefined, rest) : null;
}

function matchable(members: JsonObject): Claims {
  // Nearly every token, and then a copy would be half of what believing costs.
  return areClaims(members)
    ? members
    : bare(Object.entries(members).filter((entry): entry is [string, Claim] => isClaim(entry[1])));
}

function areClaims(members: JsonObject): members is Readonly<Record<string, Claim>> {
  return Object.values(members).every(isClaim);
}

function isClaim(value: Json): value is Claim {
  if (isList(value)) return value.every((item) => typeof item === "string");
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
