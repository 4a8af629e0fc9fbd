import { z } from "zod";
import { BrokerError } from "../errors.ts";
import { type Field, fieldsOf, type Material, type MaterialKind } from "../material.ts";
import { Secret } from "../secret.ts";

/** A file as the job will see it under /run/mayfly/credentials/CREDENTIAL/NAME. */
export interface DeliveredFile {
  readonly credential: string;
  readonly name: string;
  readonly content: Field;
}

/** What is not written by us stays out of the job's directory listing: no slash, no dot first, nothing a shell would trip over. */
export const fileName = z
  .string()
  .regex(
    /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/,
    "a file name is letters, digits, '.', '_' and '-', does not begin with '.' or '-', and has at most 64 characters",
  );

/** The template's `deliver`: which part of the material lands in which file. Left out, every part lands under its own name. */
export const deliverySchema = z.strictObject({ files: z.record(fileName, z.string()) }).optional();

export type Delivery = z.infer<typeof deliverySchema>;

/** The parts of each kind of material, by the file that each lands in where a template does not say otherwise. */
const ownNames = {
  "aws-session": {
    "access-key-id": "access-key-id",
    "secret-access-key": "secret-access-key",
    "session-token": "session-token",
  },
  bearer: { token: "token" },
  "username-password": { username: "username", password: "password" },
  x509: { "certificate.pem": "certificate", "key.pem": "private-key", "authority.pem": "authority" },
  "ssh-certificate": { "id-cert.pub": "certificate", id: "private-key" },
  "registry-login": { registry: "registry", username: "username", password: "password" },
} as const satisfies Readonly<Record<Exclude<MaterialKind, "fields">, Readonly<Record<string, string>>>>;

/** The files that hand a credential over. Throws `delivery-failed` where the material lacks a part that the template names. */
export function filesOf(credential: string, material: Material, delivery: Delivery): readonly DeliveredFile[] {
  const fields = fieldsOf(material);
  const names = delivery?.files ?? (material.kind === "fields" ? namedAsTheyAre(fields) : ownNames[material.kind]);
  return Object.entries(names).map(([name, field]) => {
    const content = fields.get(field);
    if (content !== undefined && fileName.safeParse(name).success) return { credential, name, content };
    throw new BrokerError(
      "delivery-failed",
      `the credential ${credential} has no part ${JSON.stringify(field)} that could be a file`,
      {
        hint: `it has ${[...fields.keys()].join(", ")}`,
      },
    );
  });
}

/** What must be masked before these files are in the job. */
export function secretsIn(files: readonly DeliveredFile[]): readonly Secret[] {
  return files.flatMap(({ content }) => (content instanceof Secret ? [content] : []));
}

/**
 * Said when a template loads: what its `deliver` asks of a kind of material that this kind does not have; undefined where all is
 * well. Of `fields` only the upstream knows the names, so there the word comes with the first minting.
 */
export function deliverable(delivery: Delivery, kind: MaterialKind): string | undefined {
  if (delivery === undefined || kind === "fields") return undefined;
  const parts: readonly string[] = Object.values(ownNames[kind]);
  const lacking = Object.values(delivery.files).find((field) => !parts.includes(field));
  return lacking === undefined ? undefined : `${kind} has no part ${JSON.stringify(lacking)}; it has ${parts.join(", ")}`;
}

function namedAsTheyAre(fields: ReadonlyMap<string, Field>): Readonly<Record<string, string>> {
  return Object.fromEntries([...fields.keys()].map((name) => [name, name]));
}
