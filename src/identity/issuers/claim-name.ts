import { z } from "zod";

export const claimName = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, "a claim's name is printable ASCII without blanks, at most 128 characters");
