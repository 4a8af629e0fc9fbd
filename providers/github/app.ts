import { createPrivateKey, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { BrokerError } from "../../src/errors.ts";
import { readPrivate } from "../../src/key-file.ts";
import type { Clock } from "../../src/time.ts";
import type { GithubConfig } from "./config.ts";

/** GitHub advises to set it back, for clocks that differ (GitHub, "Generating a JSON Web Token for a GitHub App"). */
const backdated = 60;

/** Seconds. GitHub takes up to 600, but whoever has this token is the App in all of its installations. */
const life = 60;

/** Who the App is, for one request. Certainly nothing was asked of GitHub where this throws, so it throws `provider-refused`. */
export async function appToken({ app, key_file: path }: GithubConfig, clock: Clock): Promise<string> {
  const key = await keyIn(path);
  const now = Math.floor(clock.now() / 1_000);
  return new SignJWT()
    .setProtectedHeader({ alg: "RS256", typ: "JWT" })
    .setIssuer(app)
    .setIssuedAt(now - backdated)
    .setExpirationTime(now + life)
    .sign(key);
}

async function keyIn(path: string): Promise<KeyObject> {
  const pem = await readPrivate(path).catch((error: unknown) => {
    throw unusable(error instanceof BrokerError ? error.message : "it cannot be read");
  });
  if (pem === undefined) throw unusable("there is no such file");
  const key = parsed(pem);
  // Jose would refuse a short key too, but with an error that is none of the joint's.
  if (key.asymmetricKeyType !== "rsa" || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    throw unusable("it is no RSA key of 2048 bits or more");
  return key;
}

/** GitHub gives PKCS#1, which jose does not read. Node's own error could quote what it read. */
function parsed(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw unusable("it holds no private key");
  }
}

function unusable(why: string): BrokerError {
  return new BrokerError("provider-refused", "the GitHub App's key cannot be used", {
    hint: "key_file must hold the private key that GitHub gave (PEM), belong to the broker's user, and have mode 0600",
    detail: `github: key_file: ${why}`,
  });
}
