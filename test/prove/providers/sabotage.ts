import { BrokerError } from "../../../src/errors.ts";
import type { Provider } from "../../../src/lease/provider.ts";

/** A fault in a provider, and the part of the proof that has to find it. */
interface Sabotage {
  readonly parts: readonly string[];
  readonly stands: readonly string[];
  spoil(provider: Provider<unknown>): Provider<unknown>;
}

const stands = ["plug-in in process"];

export const sabotages: Readonly<Record<string, Sabotage>> = {
  /** Says of a lost answer that certainly nothing happened. */
  certain: {
    parts: ["storm"],
    stands,
    spoil: (real) => ({
      ...real,
      mint: (request) => real.mint(request).catch(() => Promise.reject(new BrokerError("provider-refused"))),
    }),
  },
  /** Finds nothing of what a dead broker left. */
  forgetful: {
    parts: ["storm"],
    stands,
    spoil: (real) => ({
      ...real,
      revocation:
        real.revocation === "none"
          ? "none"
          : { ...real.revocation, recover: () => Promise.resolve({ kind: "never-happened" }) },
    }),
  },
  /** Says that it has ended what lives on. */
  deaf: {
    parts: ["storm"],
    stands,
    spoil: (real) => ({
      ...real,
      revocation: real.revocation === "none" ? "none" : { ...real.revocation, revoke: () => Promise.resolve() },
    }),
  },
  /** Gives more than was asked. */
  generous: {
    parts: ["scope"],
    stands,
    spoil: (real) => ({
      ...real,
      mint: (request) => real.mint({ ...request, options: { ...(request.options as object), access: "write" } }),
    }),
  },
  /** Asks again where it was refused. */
  insistent: {
    parts: ["refusals"],
    stands,
    spoil: (real) => ({ ...real, mint: (request) => real.mint(request).catch(() => real.mint(request)) }),
  },
};
