import { createHash, createHmac, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { Secret } from "../../src/secret.ts";

const derive = promisify(pbkdf2);

/** PostgreSQL's own. More would make each login slower, and no guess at 256 random bits any likelier to fail. */
const iterations = 4_096;

/** Letters, digits, `-` and `_`: SASLprep leaves it as it is (RFC 4013), and no connection string needs it escaped. */
export function newPassword(): Secret {
  return Secret.of(randomBytes(32).toString("base64url"));
}

/**
 * What the server stores of a password (RFC 5803, as PostgreSQL writes it). It takes this in place of the password, which then is in
 * no statement, and so in no log of the server. Who reads it cannot log in with it.
 */
export async function verifierOf(password: Secret): Promise<string> {
  const salt = randomBytes(16);
  const salted = await password.use((bytes) => derive(bytes, salt, iterations, 32, "sha256"));
  const keyed = (text: string): Buffer => createHmac("sha256", salted).update(text).digest();
  const stored = createHash("sha256").update(keyed("Client Key")).digest();
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${stored.toString("base64")}:${keyed("Server Key").toString("base64")}`;
}
