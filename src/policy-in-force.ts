import type { Delivery } from "./delivery/delivery.ts";
import type { Ledger } from "./ledger/ledger.ts";
import type { Policy } from "./policy/compile.ts";
import { loadPolicy, type TemplatesFolder } from "./policy/load.ts";
import type { Rooms } from "./policy/rooms.ts";
import type { Isolation } from "./sandbox/sandbox.ts";

/** The templates that decide now. They change as a whole or not at all, and only once their text is durable. */
export class PolicyInForce {
  readonly #folder: TemplatesFolder;
  readonly #rooms: Rooms<Delivery, Isolation>;
  readonly #ledger: Ledger;
  #policy: Policy<Delivery, Isolation>;

  private constructor(
    folder: TemplatesFolder,
    rooms: Rooms<Delivery, Isolation>,
    ledger: Ledger,
    policy: Policy<Delivery, Isolation>,
  ) {
    this.#folder = folder;
    this.#rooms = rooms;
    this.#ledger = ledger;
    this.#policy = policy;
  }

  /** Rejects with `policy-invalid`: a broker never starts without templates. */
  static async load(folder: TemplatesFolder, rooms: Rooms<Delivery, Isolation>, ledger: Ledger): Promise<PolicyInForce> {
    const policy = await loadPolicy(folder, rooms);
    await record(ledger, policy);
    return new PolicyInForce(folder, rooms, ledger, policy);
  }

  get current(): Policy<Delivery, Isolation> {
    return this.#policy;
  }

  /** Rejects with `policy-invalid` and keeps the old ones; runs that were decided keep what decided them. */
  async reload(): Promise<Policy<Delivery, Isolation>> {
    const policy = await loadPolicy(this.#folder, this.#rooms);
    if (policy.digest !== this.#policy.digest) await record(this.#ledger, policy);
    this.#policy = policy;
    return policy;
  }
}

async function record(ledger: Ledger, { digest, text, templates }: Policy<Delivery, Isolation>): Promise<void> {
  await ledger.storePolicy({ digest, text });
  await ledger.append([{ kind: "policy", policy: digest, templates: [...templates.keys()] }]);
}
