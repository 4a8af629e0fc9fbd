import type { Broker, BrokerStatus, IssuerKeys } from "./contract.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";
import type { IssuerReadiness } from "./identity/verify.ts";

type Ask<Verb extends keyof Broker> = Parameters<Broker[Verb]>[0];
type Parts = Pick<House, "ledger" | "verifier">;

export async function refreshKeys(
  { ledger, verifier }: Parts,
  { issuer, who, why }: Ask<"refreshKeys">,
): Promise<readonly IssuerKeys[]> {
  if (issuer !== undefined && !verifier.audiences().some((known) => known.issuer === issuer))
    throw new BrokerError("usage", `no issuer is named ${issuer}`, { hint: "`mayfly status --full` lists them" });
  await ledger.append([{ kind: "operated", verb: "refresh-keys", about: issuer ?? "broker", who, why }]);
  const issuers = await verifier.readAnew(issuer);
  return issuers.map(({ keys, ...rest }) => ({ ...rest, state: keys }));
}

/** Durable first: a key that was accepted stays so after a restart. */
export async function acceptKey({ ledger, verifier }: Parts, { issuer, kid, who, why }: Ask<"acceptKey">): Promise<void> {
  const about = verifier.heldKey(issuer, kid);
  await ledger.append([{ kind: "operated", verb: "accept-key", about, who, why }]);
  verifier.accept(about);
}

/** What of an issuer needs a person. */
export function keyTrouble({ issuer, held, trouble }: IssuerReadiness): BrokerStatus["trouble"] {
  return [
    ...(trouble === undefined ? [] : [{ code: "issuer-unavailable" as const, about: `${issuer}: ${trouble}` }]),
    ...held.map((kid) => ({ code: "key-held" as const, about: `${issuer}: the new key ${kid}` })),
  ];
}
