import { hour } from "../../time.ts";
import type { Claims } from "../profile.ts";
import { common, type Preset } from "./preset.ts";

/**
 * SPIFFE JWT-SVIDs of one trust domain. They need no `iss`: `sub` lies in the trust domain, and its bundle's keys verify it.
 *
 * Claims: SPIFFE JWT-SVID section 3 (`sub`, `aud`, `exp`); we ask for `iat` too, which SPIRE sends, since without it no age is known. The header
 * has `alg`, `kid` and `typ` alone; of the two types it allows, JWT is taken and JOSE is not: no agent sends it.
 *
 * A SPIFFE ID is the workload; nothing tells two runs of it apart.
 *
 * Trust: unknown. Who gets an ID is decided by registration entries that the token does not show.
 */
export const spiffe: Preset = {
  ...common,
  chosenBy: "trust-domain",
  issuer: {
    usual: undefined,
    form: "spiffe://TRUST-DOMAIN, without a path",
    fits: /^spiffe:\/\/[a-z0-9._-]{1,255}$/,
    path: undefined,
    vendors: undefined,
  },
  algorithms: ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"],
  maxLifetime: hour,
  workload: ["sub"],
  identifying: ["sub"],
  subjectIsPath: true,
  job: [],
  jti: "absent",
  keyUse: "jwt-svid",
  refuses: spiffeIdFlaw,
};

/** SPIFFE-ID section 2.2: segments that no reader could resolve to another path, and at most 2048 bytes. */
const spiffeId = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/;

function spiffeIdFlaw({ sub }: Claims): string | undefined {
  const text = String(sub);
  return text.length <= 2048 && spiffeId.test(text) ? undefined : "a sub that is not a SPIFFE ID";
}
