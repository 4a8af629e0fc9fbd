import { randomBytes } from "node:crypto";
import { BrokerError } from "../../../src/errors.ts";
import type { Minted } from "../../../src/lease/provider.ts";
import { intentOf } from "../../conformance/provider.ts";
import type { Part, Refused, Stand } from "./part.ts";

/** Whatever the upstream refuses is a clear error with a next step, and nobody is asked again with less of a restriction. */
export function refusals(): Part {
  const sum = { rows: 0, unclear: 0, again: 0, controls: 0, controlsFailed: 0 };
  return {
    async try(stand, { note }) {
      for (const row of stand.refusals) {
        const { wrong, repeated } = await rowOf(stand, row);
        sum.rows += 1;
        if (wrong !== undefined) sum.unclear += 1;
        if (repeated) sum.again += 1;
        if (wrong !== undefined || repeated) note(`${stand.name}, ${row.what}: ${wrong ?? "asked again"}`);
      }
      // The control: the same provider, asked for what it may give, gives it.
      if (stand.refusals.length === 0) return;
      sum.controls += 1;
      if (!(await mints(stand))) sum.controlsFailed += 1;
    },
    found: () => ({
      claim: `${sum.rows} refusals of upstreams, ${sum.unclear} without their code and a clear word, ${sum.again} asked again; ${sum.controls - sum.controlsFailed} of ${sum.controls} controls minted`,
      held: sum.unclear + sum.again + sum.controlsFailed === 0,
      figures: { refusals: sum.rows, unclear: sum.unclear, askedAgain: sum.again, refusalControls: sum.controls },
    }),
  };
}

async function rowOf(stand: Stand, row: Refused): Promise<{ readonly wrong: string | undefined; readonly repeated: boolean }> {
  const { options = stand.options, provider = stand.provider } = (await row.arrange()) ?? {};
  const seen = stand.way?.faults.seen ?? [];
  const before = seen.length;
  const error = await minted(stand, options, provider).then(
    () => new Error("it was given"),
    (thrown: unknown) => thrown,
  );
  const asked = seen.slice(before);
  await row.tidy?.();
  stand.way?.faults.heal();
  return { wrong: unclear(error, row), repeated: new Set(asked).size !== asked.length };
}

function unclear(error: unknown, { code }: Refused): string | undefined {
  if (!(error instanceof BrokerError)) return `no error of ours: ${String(error)}`;
  if (error.code !== code) return `${error.code}: ${error.message}`;
  // The code's own sentence, and nothing beside it, tells an operator nothing.
  const isBare = (error.hint ?? "") === "" && error.message === new BrokerError(code).message;
  return isBare ? `no word of its own: ${error.message}` : undefined;
}

async function mints(stand: Stand): Promise<boolean> {
  const { proofs, provider, options } = stand;
  try {
    const { lease, ending } = await minted(stand, options, provider);
    if (ending.kind !== "revoke" || provider.revocation === "none") return true;
    await provider.revocation.revoke(ending.handle, { proof: proofs.end(lease), signal: AbortSignal.timeout(10_000) });
    return true;
  } catch {
    return false;
  }
}

async function minted(
  { ttl, proofs, outside }: Stand,
  options: unknown,
  provider: Stand["provider"],
): Promise<Minted & { readonly lease: string }> {
  const intent = intentOf({ ttl }, { lease: `lse-${randomBytes(12).toString("hex")}` });
  outside.add(intent.lease);
  const signal = AbortSignal.timeout(10_000);
  return { lease: intent.lease, ...(await provider.mint({ intent, options, proof: proofs.mint(intent), signal })) };
}
