import type { Broker } from "./contract.ts";
import { BrokerError } from "./errors.ts";
import type { House } from "./house.ts";

type Ask<Verb extends keyof Broker> = Parameters<Broker[Verb]>[0];

/** On record first, whatever comes of it: whoever can change what the broker signs with can speak for every job. */
export async function rotateKey(
  { ledger, keys }: Pick<House, "ledger" | "keys">,
  { name, sign, leaked, who, why }: Ask<"rotateKey">,
): ReturnType<Broker["rotateKey"]> {
  if (leaked && !sign)
    throw new BrokerError("usage", "a key that leaked is withdrawn when the next one signs", {
      hint: "make the next one first, and then let it sign and withdraw the other in one step",
    });
  const about = `${name}: ${sign ? "the next key signs" : "a next key"}${leaked ? ", the old one leaked" : ""}`;
  await ledger.append([{ kind: "operated", verb: "rotate-key", about, who, why }]);
  return sign ? keys.turnKey(name, leaked) : keys.prepareKey(name);
}

/** What of the regular replacements needs a person. */
export function rotationTrouble(
  rotations: readonly { readonly provider: string; readonly name: string; readonly trouble: string | undefined }[],
) {
  return rotations.flatMap(({ provider, name, trouble }) =>
    trouble === undefined
      ? []
      : [{ code: "provider-unavailable" as const, about: `${provider}/${name} could not be replaced: ${trouble}` }],
  );
}
