import { Secret } from "./secret.ts";

/** What minting gives. A closed union: a delivery names the kinds it takes, and a mismatch does not load. */
export type Material =
  | {
      readonly kind: "aws-session";
      readonly accessKeyId: string;
      readonly secretAccessKey: Secret;
      readonly sessionToken: Secret;
    }
  | { readonly kind: "bearer"; readonly token: Secret }
  | { readonly kind: "username-password"; readonly username: string; readonly password: Secret }
  | { readonly kind: "x509"; readonly certificate: string; readonly privateKey: Secret; readonly authority: string }
  | { readonly kind: "ssh-certificate"; readonly certificate: string; readonly privateKey: Secret }
  | { readonly kind: "registry-login"; readonly registry: string; readonly username: string; readonly password: Secret }
  | { readonly kind: "fields"; readonly fields: Readonly<Record<string, Secret>> };

export type MaterialKind = Material["kind"];

/** One named part of a material; a template's `deliver: { files: { NAME: FIELD } }` picks from these. */
export type Field = string | Secret;

/** Every part by its name, in the spelling that templates use. */
export function fieldsOf(material: Material): ReadonlyMap<string, Field> {
  if (material.kind === "fields") return new Map(Object.entries(material.fields));
  const { kind: _, ...parts } = material;
  return new Map(Object.entries(parts).map(([name, field]) => [kebab(name), field]));
}

/** The parts that must never be seen: what the masker is armed with, and what is wiped at the end. */
export function secretsOf(material: Material): readonly Secret[] {
  return [...fieldsOf(material).values()].filter((field) => field instanceof Secret);
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
