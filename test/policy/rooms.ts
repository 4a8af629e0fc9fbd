import { z } from "zod";
import { bare } from "../../src/identity/bare.ts";
import type { Claim, Identity } from "../../src/identity/identity.ts";
import { type Compiled, compileTemplates, type Policy } from "../../src/policy/compile.ts";
import { problemText } from "../../src/policy/problem.ts";
import type { Rooms } from "../../src/policy/rooms.ts";
import { slot } from "../../src/policy/slots.ts";

/** Small rooms, so that what a test says is all that matters: one provider with slots, one without, a delivery, an isolation. */
const vault = z.strictObject({
  path: slot("path-segment"),
  fields: z.array(z.string()).optional(),
  note: z.string().optional(),
});
const local = z.strictObject({ commonName: slot("name").optional(), kind: z.enum(["x509", "jwt"]).default("x509") });
const delivery = z.strictObject({ files: z.record(z.string(), z.string()) }).optional();
const isolation = z.strictObject({
  memory: z.string().default("1GiB"),
  timeout: z.string().default("30m"),
  tolerate: z.partialRecord(z.enum(["no-swap"]), z.string()).optional(),
});

export type Delivery = z.output<typeof delivery>;
export type Isolation = z.output<typeof isolation>;

export const rooms: Rooms<Delivery, Isolation> = {
  providers: new Map([
    ["vault-main", { options: vault, gives: () => "username-password" as const, maxTtl: 3_600_000 }],
    [
      "local",
      {
        options: local,
        gives: (options: unknown) => (local.parse(options).kind === "jwt" ? ("bearer" as const) : ("x509" as const)),
      },
    ],
  ]),
  delivery,
  isolation,
  deliverable: (wanted, kind) => (wanted !== undefined && kind === "bearer" ? `a ${kind} has no such part` : undefined),
  issuers: new Map([
    ["github", { claims: ["repository_id", "repository", "sub"], subjectsBelow: undefined }],
    ["gitlab", { claims: ["project_id", "sub"], subjectsBelow: undefined }],
    ["mesh", { claims: ["sub"], subjectsBelow: "spiffe://example.org/" }],
    ["folder", { claims: [], subjectsBelow: undefined }],
  ]),
};

/** A template as its author writes it, from the lines that a test is about. */
export function template(lines: string, name = "deploy"): string {
  return `version: 1\ntemplate: ${name}\n${lines}\n`;
}

export const who = 'who: { issuer: github, repository_id: "519283746" }';

export function compile(...texts: readonly string[]): Compiled<Delivery, Isolation> {
  return compileTemplates(
    texts.map((text, index) => ({ file: `t${index}.yaml`, text })),
    rooms,
  );
}

export function policyOf(...texts: readonly string[]): Policy<Delivery, Isolation> {
  const compiled = compile(...texts);
  if (compiled.kind === "problems") throw new Error(compiled.problems.map(problemText).join("\n"));
  return compiled.policy;
}

export function problemsOf(...texts: readonly string[]): readonly string[] {
  const compiled = compile(...texts);
  return compiled.kind === "problems" ? compiled.problems.map(problemText) : [];
}

export function identityWith(claims: Readonly<Record<string, Claim>>, changes: Partial<Identity> = {}): Identity {
  return {
    issuer: "github",
    subject: "repo:octo/shop",
    workload: "github:519283746",
    job: "github:519283746:77",
    trust: "protected",
    claims: bare(Object.entries(claims)),
    token: { key: "jti:github:1", expiresAt: 1_790_000_300_000 },
    ...changes,
  };
}
