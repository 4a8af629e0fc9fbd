import { keptSignatures } from "./kept-signatures.ts";
import { misguidedSignatures } from "./misguided.ts";
import type { Operator } from "./operator.ts";

/** Every operator by its name. */
export const operators: readonly (readonly [name: string, operator: Operator])[] = Object.entries({
  ...keptSignatures,
  ...misguidedSignatures,
});
