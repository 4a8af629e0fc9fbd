import type { KeyObject } from "node:crypto";
import { BrokerError, type Code } from "../errors.ts";
import type { Instant } from "../time.ts";
import type { Answer, Ask, Method } from "./calls.ts";
import type { DenialLimit } from "./denials.ts";

/** What passes between the broker's thread and the ledger's. Both ends are this build: nothing here comes from outside. */
export type ToWorker =
  | {
      readonly kind: "open";
      readonly id: number;
      readonly path: string;
      readonly key: KeyObject;
      readonly origin: string;
      readonly denials: DenialLimit;
    }
  | { readonly kind: "ask"; readonly id: number; readonly ask: Ask; readonly claim: SharedArrayBuffer }
  | { readonly kind: "close"; readonly id: number; readonly now: Instant };

export type FromWorker =
  | { readonly kind: "loaded" }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answer<Method> }
  | { readonly kind: "failure"; readonly id: number; readonly failure: Failure };

/** A `BrokerError` as data: structured clone would keep neither its class nor its code. */
export interface Failure {
  readonly code: Code;
  readonly message: string;
  readonly hint: string | undefined;
  readonly detail: string | undefined;
}

export function packError({ code, message, hint, detail, cause }: BrokerError): Failure {
  return { code, message, hint, detail: detail ?? (cause instanceof Error ? cause.message : undefined) };
}

export function unpackError({ code, message, hint, detail }: Failure): BrokerError {
  return new BrokerError(code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(detail === undefined ? {} : { detail }),
  });
}
