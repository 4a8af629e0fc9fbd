import { algorithmTokens } from "./algorithms.ts";
import type { BadToken } from "./bad-token.ts";
import { claimTokens } from "./claims.ts";
import { headerTokens } from "./headers.ts";
import { meaningTokens } from "./meaning.ts";
import { shapeTokens } from "./shapes.ts";
import { signatureTokens } from "./signatures.ts";
import { timeTokens } from "./times.ts";
import { weakKeyTokens } from "./weak-keys.ts";

export const badTokens: readonly BadToken[] = [
  ...algorithmTokens,
  ...headerTokens,
  ...shapeTokens,
  ...claimTokens,
  ...timeTokens,
  ...signatureTokens,
  ...weakKeyTokens,
  ...meaningTokens,
];
