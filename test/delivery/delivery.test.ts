import { describe, expect, it } from "vitest";
import { deliverable, deliverySchema, filesOf } from "../../src/delivery/delivery.ts";
import type { Material, MaterialKind } from "../../src/material.ts";
import { Secret } from "../../src/secret.ts";

const secret = Secret.of("s3cret");
const materials: readonly Material[] = [
  { kind: "aws-session", accessKeyId: "AKIA", secretAccessKey: secret, sessionToken: secret },
  { kind: "bearer", token: secret },
  { kind: "username-password", username: "bob", password: secret },
  { kind: "x509", certificate: "CERT", privateKey: secret, authority: "CA" },
  { kind: "ssh-certificate", certificate: "SSH", privateKey: secret },
  { kind: "registry-login", registry: "r.example", username: "bob", password: secret },
  { kind: "fields", fields: { one: secret, two: secret } },
];

describe("the files that hand a credential over", () => {
  it.each<[MaterialKind, readonly string[]]>([
    ["aws-session", ["access-key-id", "secret-access-key", "session-token"]],
    ["bearer", ["token"]],
    ["username-password", ["username", "password"]],
    ["x509", ["certificate.pem", "key.pem", "authority.pem"]],
    ["ssh-certificate", ["id-cert.pub", "id"]],
    ["registry-login", ["registry", "username", "password"]],
    ["fields", ["one", "two"]],
  ])("of %s are %j, where the template does not say", (kind, names) => {
    const material = materials.find((candidate) => candidate.kind === kind);
    const files = material === undefined ? [] : filesOf("db", material, undefined);
    expect(files.map(({ name }) => name)).toEqual(names);
    expect(files.every(({ credential, content }) => credential === "db" && content !== undefined)).toBe(true);
  });

  it("are named as the template names them", () => {
    const files = filesOf(
      "db",
      { kind: "username-password", username: "bob", password: secret },
      { files: { user: "username", pass: "password" } },
    );
    expect(files).toEqual([
      { credential: "db", name: "user", content: "bob" },
      { credential: "db", name: "pass", content: secret },
    ]);
  });

  it("are not made of a part that the material lacks; the word names it and never a value", () => {
    const ask = () => filesOf("db", { kind: "fields", fields: { one: secret } }, { files: { x: "two" } });
    expect(ask).toThrow(
      expect.objectContaining({
        code: "delivery-failed",
        message: 'the credential db has no part "two" that could be a file',
        hint: "it has one",
      }),
    );
  });

  it("are not named by an upstream that would leave the folder", () => {
    const ask = () => filesOf("db", { kind: "fields", fields: { "../../etc/passwd": secret } }, undefined);
    expect(ask).toThrow(expect.objectContaining({ code: "delivery-failed" }));
  });
});

describe("a template's deliver", () => {
  it.each<[MaterialKind, string, string | undefined]>([
    ["username-password", "password", undefined],
    ["username-password", "token", 'username-password has no part "token"; it has username, password'],
    ["x509", "private-key", undefined],
    ["x509", "key.pem", 'x509 has no part "key.pem"; it has certificate, private-key, authority'],
    ["fields", "whatever", undefined],
  ])("of %s that asks for %s", (kind, field, expected) => {
    expect(deliverable({ files: { file: field } }, kind)).toBe(expected);
    expect(deliverable(undefined, kind)).toBeUndefined();
  });

  it.each(["../x", ".hidden", "a/b", "-rf", "", "a b", "x".repeat(65)])("does not load with a file named %j", (name) => {
    expect(deliverySchema.safeParse({ files: { [name]: "token" } }).success).toBe(false);
  });

  it("loads with plain names", () => {
    expect(deliverySchema.safeParse({ files: { "key.pem": "private-key" } }).success).toBe(true);
  });
});
