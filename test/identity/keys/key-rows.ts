import { rotation } from "./key-rows/change.ts";
import { elsewhere } from "./key-rows/elsewhere.ts";
import { coldOutage, warmOutage } from "./key-rows/outage.ts";
import { poisoned } from "./key-rows/poisoned.ts";
import { size } from "./key-rows/size.ts";
import { slow } from "./key-rows/slow.ts";
import type { KeyRow } from "./key-rows/stage.ts";
import { strangers } from "./key-rows/strangers.ts";
import { unusable } from "./key-rows/unusable.ts";

/** What an issuer, or whoever is in its place, may do to our keys (hardening J-21), each against a real server that does so. */
export const keyRows: readonly KeyRow[] = [
  size,
  coldOutage,
  warmOutage,
  strangers,
  rotation,
  slow,
  elsewhere,
  unusable,
  poisoned,
];
