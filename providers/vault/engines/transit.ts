import { type Asking, type Given, type Of, secretOf } from "./engine.ts";

/**
 * A fresh key, as it is and encrypted under the engine's own, so that a job encrypts without Vault and keeps only the encrypted key beside
 * its data. Nobody can take it back: what it opens is told by what it encrypted, so it counts as exposed.
 */
export async function dataKey({ client }: Asking, { path }: Of<"datakey">): Promise<Given> {
  const answer = await client.write(path, { bits: 256 });
  return {
    material: {
      kind: "fields",
      fields: { plaintext: secretOf(answer, "plaintext"), ciphertext: secretOf(answer, "ciphertext") },
    },
  };
}
