import type { ProofRequest } from "../../../scripts/prove.ts";
import type { Proofs } from "../../../src/lease/authority.ts";
import type { Provider } from "../../../src/lease/provider.ts";
import type { Material } from "../../../src/material.ts";
import type { Duration } from "../../../src/time.ts";
import type { Faults } from "../../conformance/provider.ts";

/** What one part of the proof found. */
export interface Found {
  /** A clause of the claim, with its counts. */
  readonly claim: string;
  readonly held: boolean;
  readonly figures: Readonly<Record<string, number | string>>;
}

export interface Trial extends Pick<ProofRequest, "size" | "random" | "note"> {
  readonly toxic: Toxics;
}

export interface Toxics {
  poison(port: number): Promise<void>;
  heal(): Promise<void>;
}

/** Tries one provider after the other, and then says what it found. */
export interface Part {
  try(stand: Stand, trial: Trial): Promise<void>;
  found(): Found;
}

/** Something that the upstream knows to be alive, and for which lease, where it can say so. */
export interface Living {
  readonly what: string;
  readonly lease: string | undefined;
}

/** An action with a credential; whether the upstream did it. */
export type Act = readonly [name: string, act: (material: Material) => Promise<boolean>];

/** One provider, behind toxiproxy, with its upstream and that one's own word. */
export interface Stand extends AsyncDisposable {
  readonly name: string;
  readonly provider: Provider<unknown>;
  readonly proofs: Proofs;
  /** As a grant holds them. */
  readonly options: unknown;
  readonly ttl: Duration;
  /** Where the upstream itself takes longer than five seconds to forget what it accepted: how long, and why. */
  readonly remembers?: { readonly milliseconds: Duration; readonly why: string };
  /** Leases that other parts made, of which the storm's ledger knows nothing. */
  readonly outside: Set<string>;
  /** So many at once at the most: a limit of the upstream's own. */
  readonly most?: number;
  /** The two proxies on the way: by request and by byte. A provider without an upstream has none. */
  readonly way?: { readonly faults: Faults & { readonly seen?: readonly string[] }; readonly toxicPort: number };
  readonly granted: Act;
  readonly neighbours: readonly Act[];
  /** The upstream's own list. */
  living(leases: readonly string[]): Promise<readonly Living[]>;
  /** How it refuses, and what Mayfly is to make of it. */
  readonly refusals: readonly Refused[];
}

export interface Refused {
  readonly what: string;
  readonly code: "provider-refused" | "provider-unavailable";
  /** Makes the upstream refuse; gives what else is asked, or of whom. */
  arrange(): Promise<{ readonly options?: unknown; readonly provider?: Provider<unknown> } | undefined>;
  tidy?(): Promise<void>;
}

/** Puts a port of toxiproxy before a port; and the fault that a sabotaged run has. */
export interface Opening {
  before(port: number): Promise<number>;
  spoil(provider: Provider<unknown>): Provider<unknown>;
}

export type OpenStand = (opening: Opening) => Promise<Stand>;

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
}
