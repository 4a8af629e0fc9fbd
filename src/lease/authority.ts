import { join } from "node:path";
import type { JWK } from "jose";
import type { RingName } from "../key-ring.ts";
import type { Clock, Duration } from "../time.ts";
import { openCertificateAuthority } from "./certificates.ts";
import type { Authority, Intent, Proof } from "./provider.ts";
import { openSeal } from "./seal.ts";
import { type Rotated, Signer } from "./signer.ts";
import { openSshAuthority } from "./ssh-certificates.ts";

export interface AuthorityOpening {
  /** Holds the key files; readable by the broker's user alone. */
  readonly folder: string;
  /** `iss` of the broker's proofs: an https URL without a trailing slash. */
  readonly issuerUrl: string;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/** The broker's own keys: a CA for jobs' certificates, a signer for jobs' tokens, and one for the broker's proofs upstream. */
export interface BrokerAuthority extends Authority {
  readonly proofs: Proofs;
  publicKeys(): PublicKeys;
  /** Makes the next key of an issuer, which is published and does not sign yet. */
  prepareKey(name: RingName): Promise<Rotated>;
  /** The next key signs from now on; one that leaked is no longer published. Throws `usage` where none was prepared. */
  turnKey(name: RingName, leaked: boolean): Promise<Rotated>;
}

/** What others need to trust the broker. Nothing in it is secret. */
export interface PublicKeys {
  /** For upstreams that the broker logs in to: Vault's jwt auth, a cloud's workload identity federation. */
  readonly proofs: IssuerKeys;
  /** For servers that take a job's own token. */
  readonly jobs: IssuerKeys;
  /** PEM: for servers that take a job's client certificate. */
  readonly authority: string;
  /** One line: for sshd's `TrustedUserCAKeys`. */
  readonly ssh: string;
}

export interface IssuerKeys {
  readonly issuer: string;
  /** All that are published, one after the other; the one that signs comes first. */
  readonly pem: string;
  readonly jwks: { readonly keys: readonly JWK[] };
}

/** Proofs upstream `as: broker`, one maker for each purpose; an upstream binds its roles to the claim `purpose`. */
export interface Proofs {
  /** `purpose: mint`, for one lease: carries who it is for, by which template, and the lease's name. */
  mint(intent: Intent): Proof;
  /** `purpose: end`: the revoke-only identity, which works without any job. */
  end(lease: string): Proof;
  /** `purpose: rotate`: to replace what an upstream stores, which neither of the others may. */
  rotate(what: string): Proof;
}

/** Long enough for one login with a slow network and a skewed clock; the most that a stolen proof is worth. */
const proofLife: Duration = 120_000;

/** Who the broker is to an upstream when it speaks for itself. */
const sweeperSubject = "mayfly:sweeper";
const rotatorSubject = "mayfly:rotator";

/**
 * Opens the broker's keys, making those that are missing. Refuses with `config-invalid` a file that others can read.
 *
 * Proofs are RS256: AWS, Google and Vault also take ES256, but Entra ID's federated credentials take RS256 alone. Jobs' tokens have an issuer
 * and a key of their own: were they signed with the proofs' key, a job given a token for an audience that an upstream also
 * expects could log in there as the broker.
 */
export async function openAuthority({ folder, issuerUrl, clock, random }: AuthorityOpening): Promise<BrokerAuthority> {
  const [proofs, jobs, certificates, ssh, seal] = await Promise.all([
    Signer.open({ folder, ring: "proofs", issuer: issuerUrl, clock, random }),
    Signer.open({ folder, ring: "jobs", issuer: `${issuerUrl}/jobs`, clock, random }),
    openCertificateAuthority(join(folder, "ca.pem"), clock, random),
    openSshAuthority(join(folder, "ssh.key"), clock, random),
    openSeal(join(folder, "seal.key"), random),
  ]);
  const signers = { proofs, jobs };
  return {
    signJwt: (claims, expiresAt) => jobs.sign(claims, expiresAt),
    issueCertificate: (request) => certificates.issue(request),
    issueSshCertificate: (request) => ssh.issue(request),
    seal: (secret) => seal.seal(secret),
    unseal: (sealed) => seal.unseal(sealed),
    proofs: proofsOf(proofs, clock),
    publicKeys: () => ({ proofs: keysOf(proofs), jobs: keysOf(jobs), authority: certificates.certificate, ssh: ssh.publicKey }),
    prepareKey: (name) => signers[name].prepare(),
    turnKey: (name, leaked) => signers[name].turn(leaked),
  };
}

function proofsOf(signer: Signer, clock: Clock): Proofs {
  const proof = (sub: string, claims: Readonly<Record<string, string>>): Proof => ({
    token: (aud, extra = {}) => signer.sign({ ...extra, ...claims, sub, aud }, clock.now() + proofLife),
  });
  return {
    mint: ({ lease, workload, template, session }) => proof(workload, { purpose: "mint", lease, workload, template, session }),
    // Not `lease`: what looks for a lease by that name must not find the one who looks.
    rotate: (what) => proof(rotatorSubject, { purpose: "rotate", rotates: what }),
    end: (lease) => proof(sweeperSubject, { purpose: "end", ends: lease }),
  };
}

function keysOf({ issuer, published }: Signer): IssuerKeys {
  return { issuer, pem: published.map(({ pem }) => pem).join(""), jwks: { keys: published.map(({ jwk }) => jwk) } };
}
