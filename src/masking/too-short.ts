import type { Secret } from "../secret.ts";
import { shortestForm, trim } from "./forms.ts";

/** Passwords that nobody should have, and words that logs are full of: to hide them would make a log unreadable. */
const commonWords = new Set([
  "12345678",
  "123456789",
  "1234567890",
  "administrator",
  "anonymous",
  "changeit",
  "changeme",
  "database",
  "development",
  "internal",
  "localhost",
  "password",
  "password1",
  "postgres",
  "postgresql",
  "production",
  "undefined",
  "username",
]);

/** True of a value that cannot be hidden in output, because it is short or common; minting refuses it. */
export function tooShort(secret: Secret): boolean {
  return secret.use((value) => {
    const bytes = trim(value);
    const text = bytes.toString("utf8").toLowerCase();
    return bytes.length < shortestForm || commonWords.has(text) || bytes.every((byte) => byte === bytes[0]);
  });
}
