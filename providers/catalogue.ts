import { type BoundType, bind } from "../src/lease/bind.ts";
import { local } from "./local.ts";
import { vault } from "./vault.ts";

/** Every provider type that mayfly.yaml may name; a new one is a file beside this and a line in here. */
export const catalogue: ReadonlyMap<string, BoundType> = new Map([bind(local), bind(vault)].map((type) => [type.type, type]));
