import { z } from "zod";
import type { Field } from "../material.ts";

/** A file as the job will see it under /run/mayfly/credentials/CREDENTIAL/NAME. */
export interface DeliveredFile {
  readonly credential: string;
  readonly name: string;
  readonly content: Field;
}

/** What is not written by us stays out of the job's directory listing: no slash, no dot first, nothing a shell would trip over. */
export const fileName = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/, "a file name is letters, digits, '.', '_' and '-', does not begin with '.' or '-', and has at most 64 characters");

/** The template's `deliver`: which part of the material lands in which file. Left out, every part lands under its own name. */
export const deliverySchema = z.strictObject({ files: z.record(fileName, z.string()) }).optional();

export type Delivery = z.infer<typeof deliverySchema>;
