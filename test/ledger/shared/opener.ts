import { createPrivateKey, randomUUID } from "node:crypto";
import { begin } from "../../conformance/ledger/under-test.ts";
import { aSession, failed, opening } from "../fixture.ts";
import { type BrokerParts, openBroker } from "./stage.ts";

/** Opens sessions, of which every third comes to nothing, until it is killed. Its argument is a broker's parts as JSON, the key in PEM. */
const { pem, ...parts } = JSON.parse(process.argv[2] ?? "") as BrokerParts & { readonly pem: string };
const { ledger } = await openBroker({ ...parts, key: createPrivateKey(pem) });

async function openForever(): Promise<never> {
  for (let n = 0; ; n++) {
    const token = randomUUID();
    const { leases } = await begin(ledger, { session: opening(aSession({ token })) });
    if (n % 3 === 0) await ledger.append(leases.map(failed));
    process.send?.({ token, end: n % 3 === 0 ? "free" : "spent" });
  }
}

await Promise.all(Array.from({ length: 8 }, openForever));
