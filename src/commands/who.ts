import { BrokerError } from "../errors.ts";
import type { Io } from "./io.ts";

/** Who asks for a change and why: recorded in the ledger, for people. */
export interface Asked {
  readonly who?: string;
  readonly why: string;
}

export const whoFlag = ["--who <name>", "who asks for it (default: SUDO_USER, else USER)"] as const;
export const whyFlag = ["--why <text>", "why, in one line; it is recorded"] as const;

export function reason(io: Io, { who, why }: Asked): { readonly who: string; readonly why: string } {
  const name = who ?? io.env["SUDO_USER"] ?? io.env["USER"];
  if (name === undefined) throw new BrokerError("usage", "a change names who asks for it", { hint: "say it with --who" });
  return { who: name, why };
}
