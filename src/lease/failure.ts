import { BrokerError } from "../errors.ts";

/** What a provider threw, as the caller and the ledger name it: what is none of our errors, or came too late, is a lost answer. */
export function asFailure(provider: string, thrown: unknown): BrokerError {
  if (thrown instanceof BrokerError && thrown.code !== "timeout") return thrown;
  const detail = thrown instanceof Error ? `${provider}: ${thrown.message}` : provider;
  return new BrokerError("provider-unavailable", `the answer of the provider ${provider} was lost`, {
    hint: "what it may have issued is being looked for and ended",
    detail,
    cause: thrown,
  });
}
