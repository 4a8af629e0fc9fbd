import { durationMs, type Timestamp, timestampMs, type Duration as WireDuration } from "@bufbuild/protobuf/wkt";
import type { Ending as Wire } from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import { BrokerError } from "../../src/errors.ts";
import type { Authority, Ending, Handle } from "../../src/lease/provider.ts";
import { Secret } from "../../src/secret.ts";
import type { Duration, Instant } from "../../src/time.ts";
import type { Case } from "./manifest.ts";
import { BadAnswer, lineIn } from "./text.ts";

/** Before the name of each part of a handle that is sealed; no name of a plug-in's has a colon. */
const sealedMark = "sealed:";
const mostParts = 16;
const mostSealed = 8_192;

/** A handle on its way to the plug-in: what is sealed in the ledger is open again. */
export interface OpenHandle {
  readonly handle: Record<string, string>;
  readonly sealed: Record<string, string>;
}

/** The ending as it may be recorded. It must be of the kind that the manifest's case has; anything else breaks a promise. */
export function endingOf(wire: Wire | undefined, declared: Case, authority: Authority): Ending {
  const { kind } = wire ?? {};
  const words = { revoke: "revoke", expires: "expires", stored: "static" } as const;
  if (kind?.case === undefined) throw new BadAnswer("the answer holds no ending");
  if (words[kind.case] !== declared.ends) throw broken(`it ends with ${words[kind.case]}, and not with ${declared.ends}`);
  switch (kind.case) {
    case "revoke": {
      const { expiresAt, renewWithin } = kind.value;
      return {
        kind: "revoke",
        handle: sealedHandle(kind.value, authority),
        expiresAt: instantOf(expiresAt),
        ...(renewWithin === undefined ? {} : { renewWithin: spanOf(renewWithin, declared) }),
      };
    }
    case "expires":
      return { kind: "expires", at: instantOf(kind.value.at) };
    case "stored":
      return { kind: "static" };
  }
}

/** An upstream's clock may be this far ahead of ours before a life counts as longer than asked. */
const skew: Duration = 5_000;

/** A credential lives as long as was asked, and still lives. */
export function checkLife(ending: Ending, ttl: Duration, now: Instant): void {
  const expiry = ending.kind === "revoke" ? ending.expiresAt : ending.kind === "expires" ? ending.at : undefined;
  if (expiry === undefined) return;
  if (!(expiry <= now + ttl + skew)) throw broken(`it lives until ${printedTime(expiry)}, longer than was asked`);
  if (expiry <= now) throw broken(`it ended at ${printedTime(expiry)}, before it was given`);
}

export function broken(why: string): BrokerError {
  return new BrokerError("provider-broken-promise", `the provider broke its promise: ${why}`);
}

function sealedHandle({ handle, sealed }: OpenHandle, authority: Authority): Handle {
  const parts = [...Object.keys(handle), ...Object.keys(sealed)];
  if (parts.length === 0 || parts.length > mostParts || parts.some((name) => !/^[a-z0-9_]{1,64}$/.test(name)))
    throw new BadAnswer("a handle has 1 to 16 plain names");
  const plain = Object.entries(handle).map(([name, value]): [string, string] => [name, lineIn(value, "a handle's part")]);
  const closed = Object.entries(sealed).map(([name, value]): [string, string] => {
    if (value === "" || value.length > mostSealed) throw new BadAnswer("a sealed part is empty or too long");
    const secret = Secret.of(value);
    const text = authority.seal(secret);
    secret.wipe();
    return [`${sealedMark}${name}`, text];
  });
  return Object.fromEntries([...plain, ...closed]);
}

/** What the ledger kept, as the plug-in gave it. */
export function openHandle(handle: Handle, authority: Authority): OpenHandle {
  const parts = Object.entries(handle);
  const isSealed = ([name]: readonly [string, string]): boolean => name.startsWith(sealedMark);
  const opened = parts.filter(isSealed).map(([name, text]): [string, string] => {
    const secret = authority.unseal(text);
    const value = secret.use((bytes) => bytes.toString("utf8"));
    secret.wipe();
    return [name.slice(sealedMark.length), value];
  });
  return { handle: Object.fromEntries(parts.filter((part) => !isSealed(part))), sealed: Object.fromEntries(opened) };
}

function printedTime(instant: Instant): string {
  return new Date(instant).toISOString();
}

function instantOf(stamp: Timestamp | undefined): Instant {
  if (stamp === undefined) throw new BadAnswer("it is not said when the credential expires");
  return timestampMs(stamp);
}

function spanOf(span: WireDuration, { renew }: Case): number {
  if (!renew) throw broken("it wants to be renewed, which it does not declare");
  const within = durationMs(span);
  if (within < 1_000) throw new BadAnswer("nobody can renew that often");
  return within;
}
