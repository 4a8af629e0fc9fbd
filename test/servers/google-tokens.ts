import { randomBytes } from "node:crypto";

/** A token that the stand-in gave, whether or not its answer arrived. */
export interface Issued {
  readonly token: string;
  /** `pool`, `host`: what a broker asks with. `access`: a service account's. `downscoped`: one of those within a boundary. `id`: for an audience. */
  readonly kind: "pool" | "host" | "access" | "downscoped" | "id";
  /** Whose it is: a service account's address, or a principal of the pool. */
  readonly principal: string;
  /** By the proof that it goes back to; a host says none. */
  readonly lease: string | undefined;
  /** `attribute.grant`: the proof's template and workload. */
  readonly grant: string | undefined;
  readonly scopes: readonly string[];
  readonly boundary?: readonly Rule[];
  /** Milliseconds since 1970. */
  readonly until: number;
}

export interface Rule {
  readonly availableResource: string;
  readonly availablePermissions: readonly string[];
  readonly availabilityCondition?: { readonly expression: string };
}

/** Google's own memory of what it gave; it never forgets, and nothing in it can be ended. */
export class Tokens {
  readonly all: Issued[] = [];

  give(issued: Omit<Issued, "token">, token = `ya29.${randomBytes(24).toString("base64url")}`): Issued {
    const whole = { ...issued, token };
    this.all.push(whole);
    return whole;
  }

  living(token: string | undefined): Issued | undefined {
    return this.all.find((one) => one.token === token && one.until > Date.now());
  }
}

export const everything = "https://www.googleapis.com/auth/cloud-platform";

/** What the stand-in's answers say when they say no (google.rpc.Status). */
export class ApiError extends Error {
  readonly code: number;
  readonly status: string;

  constructor(code: number, status: string, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}
