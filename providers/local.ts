import { createHash } from "node:crypto";
import { z } from "zod";
import type {
  Authority,
  Ending,
  Intent,
  Minted,
  MintRequest,
  Provider,
  ProviderContext,
  ProviderType,
} from "../src/lease/provider.ts";
import type { Instant } from "../src/time.ts";

const config = z.strictObject({});

const options = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("x509").describe("A client certificate for a fresh key.") }),
  z.strictObject({
    kind: z.literal("jwt").describe("A signed JWT for one server."),
    audience: z.string().min(1).max(255).describe("The server that it is for, as that server checks `aud`."),
  }),
]);

type Options = z.infer<typeof options>;

/**
 * The broker itself as a provider: it needs no upstream. What it signs cannot be called back, so it says `none` and
 * gives short lives instead. The lease's name is the JWT's `jti` and the certificate's common name and, hashed, serial.
 */
export const local: ProviderType<z.infer<typeof config>, Options> = {
  type: "local",
  proves: ["broker"],
  config,
  create: (_, { authority, clock }: ProviderContext): Provider<Options> => ({
    options,
    gives: ({ kind }) => (kind === "x509" ? "x509" : "bearer"),
    ends: () => "expires",
    revocation: "none",
    async mint({ intent, options: asked, signal }: MintRequest<Options>): Promise<Minted> {
      signal.throwIfAborted();
      const at = wholeSecond(clock.now() + intent.ttl);
      const ending: Ending = { kind: "expires", at };
      switch (asked.kind) {
        case "x509":
          return { material: { kind: "x509", ...(await certificate(authority, intent, at)) }, ending };
        case "jwt":
          return { material: { kind: "bearer", token: await authority.signJwt(claims(intent, asked.audience), at) }, ending };
      }
    },
  }),
};

function certificate(
  authority: Authority,
  { lease, workload, template }: Intent,
  notAfter: Instant,
): ReturnType<Authority["issueCertificate"]> {
  const uri = `mayfly://workload/${encodeURIComponent(workload)}/template/${encodeURIComponent(template)}`;
  return authority.issueCertificate({ serial: serialOf(lease), commonName: lease, uri, notAfter });
}

/** 20 octets, positive and not zero (RFC 5280 section 4.1.2.2). */
function serialOf(lease: string): string {
  return `01${createHash("sha256").update(lease).digest("hex").slice(0, 38)}`;
}

function claims({ lease, workload, template, session }: Intent, aud: string): Parameters<Authority["signJwt"]>[0] {
  return { sub: workload, aud, jti: lease, template, session };
}

/** Certificates and JWTs count in seconds; rounded down, so that the ledger never calls a living credential expired. */
function wholeSecond(instant: Instant): Instant {
  return Math.floor(instant / 1_000) * 1_000;
}
