import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import { Secret } from "../../src/secret.ts";
import type { Google } from "./google.ts";
import type { Asked } from "./options.ts";

const accessed = z.object({
  name: z.string(),
  payload: z.object({ data: z.base64(), dataCrc32c: z.string().regex(/^\d{1,10}$/) }),
});

const parts = /^projects\/[^/]+\/(?:locations\/([^/]+)\/)?secrets\/([^/]+)(?:\/versions\/([^/]+))?$/;

/** The value of one version, its checksum checked: what a line garbled is no secret. */
export async function readSecret(google: Google, own: Secret, asked: Asked): Promise<Readonly<Record<string, Secret>>> {
  const { secret = "", version = "latest", format = "text" } = asked;
  const location = parts.exec(secret)?.[1];
  const path = `/v1/${secret}/versions/${version}:access`;
  const answer = accessed.safeParse(await google.ask({ service: "secretmanager", location, path, bearer: own }));
  if (!answer.success) throw new Error("the answer is not one of Secret Manager's");
  const { name, payload } = answer.data;
  if (!isAsked(name, secret, version))
    throw new BrokerError("provider-broken-promise", "google gave another secret than was asked for");
  const value = Buffer.from(payload.data, "base64");
  try {
    if (crc32c(value) !== Number(payload.dataCrc32c)) throw new Error("the secret does not have its checksum");
    return format === "text" ? { value: Secret.of(value) } : fieldsOf(value);
  } finally {
    value.fill(0);
  }
}

/** The project is not compared: it was asked for by its id, and is answered by its number. */
function isAsked(name: string, secret: string, version: string): boolean {
  const [, place, id, number] = parts.exec(name) ?? [];
  const [, askedPlace, askedId] = parts.exec(secret) ?? [];
  if (id === undefined || id !== askedId || place !== askedPlace) return false;
  return number === version || (number !== undefined && /^\d+$/.test(number) && !/^\d+$/.test(version));
}

function fieldsOf(value: Buffer): Readonly<Record<string, Secret>> {
  const parsed = jsonIn(value);
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed) || Object.keys(parsed).length === 0)
    throw new BrokerError("provider-refused", "the secret is no JSON object with fields", {
      hint: "store an object, or say `format: text`",
    });
  const texts = Object.entries(parsed).map(
    ([key, one]: [string, unknown]) => [key, typeof one === "string" ? one : JSON.stringify(one)] as const,
  );
  return Object.fromEntries(texts.map(([key, text]) => [key, Secret.of(text)]));
}

/** The parser's own error would quote what it read. */
function jsonIn(value: Buffer): unknown {
  try {
    return JSON.parse(value.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Castagnoli's (RFC 3720 appendix B.4); Node has the other one only. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
