import { SignJWT } from "jose";
import { BrokerError } from "../errors.ts";
import { KeyRing, type PublicKey, type RingName, rings, type SigningKey } from "../key-ring.ts";
import { Secret } from "../secret.ts";
import type { Clock, Instant } from "../time.ts";

export interface Claims {
  readonly sub: string;
  readonly aud: string;
  readonly [claim: string]: unknown;
}

export interface SignerOpening {
  readonly folder: string;
  readonly ring: RingName;
  readonly issuer: string;
  readonly clock: Clock;
  readonly random: (bytes: number) => Buffer;
}

/** What a rotation did: which key signs, and all that are published by their ids. */
export interface Rotated {
  readonly signing: string;
  readonly published: readonly string[];
}

/** One issuer: its URL, its keys, and what others need to check what it signs. */
export class Signer {
  readonly issuer: string;
  readonly #ring: KeyRing;
  readonly #opening: SignerOpening;
  #key: SigningKey;
  #published: readonly PublicKey[] = [];

  private constructor(opening: SignerOpening, ring: KeyRing, key: SigningKey) {
    this.issuer = opening.issuer;
    this.#opening = opening;
    this.#ring = ring;
    this.#key = key;
  }

  static async open(opening: SignerOpening): Promise<Signer> {
    const ring = new KeyRing(opening.folder, opening.ring);
    const signer = new Signer(opening, ring, await ring.open());
    await signer.#look();
    return signer;
  }

  /** The one that signs comes first. */
  get published(): readonly PublicKey[] {
    return this.#published;
  }

  /** Adds `iss` and `iat`, and `jti` where the claims bring none. */
  async sign(claims: Claims, expiresAt: Instant): Promise<Secret> {
    const { clock, random, ring } = this.#opening;
    const { key, jwk } = this.#key;
    const whole = {
      jti: random(16).toString("hex"),
      ...claims,
      iss: this.issuer,
      iat: seconds(clock.now()),
      exp: seconds(expiresAt),
    };
    const header = { alg: rings[ring].algorithm, kid: jwk.kid, typ: "JWT" };
    return Secret.of(await new SignJWT(whole).setProtectedHeader(header).sign(key));
  }

  /** Makes the next key, which is published and does not sign yet. */
  async prepare(): Promise<Rotated> {
    await this.#ring.prepare();
    return this.#look();
  }

  /** The next key signs from now on. Throws `usage` where none was prepared: a key that nobody has read yet verifies nothing. */
  async turn(leaked: boolean): Promise<Rotated> {
    const next = await this.#ring.turn(this.#opening.clock.now(), leaked);
    if (next === undefined)
      throw new BrokerError("usage", "there is no next key that could sign", {
        hint: `\`mayfly keys rotate ${this.#opening.ring}\` makes one; publish it, and let it sign once everybody has read it`,
      });
    this.#key = next;
    return this.#look();
  }

  async #look(): Promise<Rotated> {
    this.#published = await this.#ring.published(this.#opening.clock.now());
    return { signing: this.#key.jwk.kid, published: this.#published.map(({ jwk }) => jwk.kid) };
  }
}

/** NumericDate (RFC 7519 section 2), rounded down: never a longer life than was asked. */
function seconds(instant: Instant): number {
  return Math.floor(instant / 1_000);
}
