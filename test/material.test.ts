import { describe, expect, test } from "vitest";
import { fieldsOf, type Material, type MaterialKind, secretsOf } from "../src/material.ts";
import { Secret } from "../src/secret.ts";

const s = (text: string) => Secret.of(text);

/** One of each kind; the type makes a new kind fail here until it is listed. */
const examples: { readonly [K in MaterialKind]: [Extract<Material, { kind: K }>, fields: string[], secrets: string[]] } = {
  "aws-session": [
    { kind: "aws-session", accessKeyId: "ASIA1", secretAccessKey: s("sak"), sessionToken: s("tok") },
    ["access-key-id", "secret-access-key", "session-token"],
    ["sak", "tok"],
  ],
  bearer: [{ kind: "bearer", token: s("tok") }, ["token"], ["tok"]],
  "username-password": [{ kind: "username-password", username: "u", password: s("pw") }, ["username", "password"], ["pw"]],
  x509: [
    { kind: "x509", certificate: "C", privateKey: s("key"), authority: "A" },
    ["certificate", "private-key", "authority"],
    ["key"],
  ],
  "ssh-certificate": [
    { kind: "ssh-certificate", certificate: "C", privateKey: s("key") },
    ["certificate", "private-key"],
    ["key"],
  ],
  "registry-login": [
    { kind: "registry-login", registry: "r", username: "u", password: s("pw") },
    ["registry", "username", "password"],
    ["pw"],
  ],
  fields: [{ kind: "fields", fields: { apiKey: s("k1"), kind: s("k2") } }, ["apiKey", "kind"], ["k1", "k2"]],
};

describe("every kind of material names its parts, and which of them are secret", () => {
  test.each(Object.entries(examples))("%s", (_, [material, fields, secrets]) => {
    expect([...fieldsOf(material).keys()]).toEqual(fields);
    expect(secretsOf(material).map((secret) => secret.use((bytes) => bytes.toString()))).toEqual(secrets);
  });
});

test("a template's spelling finds the part itself", () => {
  const [material] = examples["aws-session"];
  expect(fieldsOf(material).get("access-key-id")).toBe("ASIA1");
  expect(fieldsOf(material).get("secret-access-key")).toBe(material.secretAccessKey);
});
