import { InvalidArgumentError } from "commander";

/** A flag's whole number. */
export function count(text: string): number {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw new InvalidArgumentError("write a whole number");
  return Number(text);
}
