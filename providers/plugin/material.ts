import type { Material as Wire } from "../../src/api/gen/mayfly/provider/v1/provider_pb.ts";
import type { Material } from "../../src/material.ts";
import { Secret } from "../../src/secret.ts";
import { BadAnswer, lineIn, linesIn } from "./text.ts";

const mostSecret = 64 * 1_024;
const mostFields = 64;

/** What was given, each part looked at: what a job is handed is a line where a file of its tools wants a line. */
export function materialOf({ kind }: Wire): Material {
  switch (kind.case) {
    case "awsSession": {
      const { accessKeyId, secretAccessKey, sessionToken } = kind.value;
      return {
        kind: "aws-session",
        accessKeyId: lineIn(accessKeyId, "the access key id"),
        secretAccessKey: secretIn(secretAccessKey),
        sessionToken: secretIn(sessionToken),
      };
    }
    case "bearer":
      return { kind: "bearer", token: secretIn(kind.value.token) };
    case "usernamePassword":
      return { kind: "username-password", ...loginIn(kind.value) };
    case "x509": {
      const { certificate, privateKey, authority } = kind.value;
      return { kind: "x509", ...keyPairIn({ certificate, privateKey }), authority: linesIn(authority, "the authority") };
    }
    case "sshCertificate":
      return { kind: "ssh-certificate", ...keyPairIn(kind.value) };
    case "registryLogin":
      return { kind: "registry-login", registry: lineIn(kind.value.registry, "the registry"), ...loginIn(kind.value) };
    case "fields":
      return { kind: "fields", fields: fieldsIn(kind.value.fields) };
    case undefined:
      throw new BadAnswer("the answer holds no material");
  }
}

function secretIn(value: string): Secret {
  if (value === "" || value.length > mostSecret) throw new BadAnswer("a secret is empty or too long");
  return Secret.of(value);
}

function loginIn({ username, password }: { username: string; password: string }): { username: string; password: Secret } {
  return { username: lineIn(username, "the username"), password: secretIn(password) };
}

function keyPairIn(pair: { certificate: string; privateKey: string }): { certificate: string; privateKey: Secret } {
  return { certificate: linesIn(pair.certificate, "the certificate"), privateKey: secretIn(pair.privateKey) };
}

/** Each becomes a file of its name where a template says nothing else. */
function fieldsIn(fields: Readonly<Record<string, string>>): Readonly<Record<string, Secret>> {
  const entries = Object.entries(fields);
  if (entries.length === 0 || entries.length > mostFields) throw new BadAnswer(`there are ${entries.length} fields`);
  if (entries.some(([name]) => !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/.test(name)))
    throw new BadAnswer("a field's name is none of a file");
  return Object.fromEntries(entries.map(([name, value]) => [name, secretIn(value)]));
}
