import { BrokerError } from "../src/errors.ts";
import type { Minted, MintRequest, Provider, ProviderContext, ProviderType } from "../src/lease/provider.ts";
import { Secret } from "../src/secret.ts";
import { type Duration, minute } from "../src/time.ts";
import { type AwsConfig, authorityOf, config } from "./aws/config.ts";
import { endSession, handleOf } from "./aws/deny.ts";
import { type Asked, type AwsOptions, optionsFor, ownTags, type Role, roleOf, tagText } from "./aws/options.ts";
import { textOf } from "./aws/policy.ts";
import { type Asker, assume, type Session } from "./aws/session.ts";
import { storedOf } from "./aws/stored.ts";
import type { Parts } from "./aws/wire.ts";

/** The shortest that AWS gives: the broker reads with it once, and forgets it. */
const readingLife: Duration = 15 * minute;

/**
 * Amazon Web Services. A lease is a session of a role, named after the lease, that may do what the role AND the template's policy allow; or a
 * value of Secrets Manager or the Parameter Store, read by such a session that never leaves the broker. AWS keeps no list of sessions, so
 * `recover` takes every one for found.
 */
export const aws: ProviderType<AwsConfig, AwsOptions> = {
  type: "aws",
  proves: ["broker", "host", "job"],
  config,
  create(settings: AwsConfig, { clock, as }: ProviderContext): Provider<AwsOptions> {
    const authority = authorityOf(settings);
    const { sweeper, region } = settings;
    const parts = (signal: AbortSignal): Parts => ({ config: settings, authority, clock, signal });
    const proves = as !== "host";
    const ends = ({ policy }: Asked): "revoke" | "expires" | "static" => {
      if (policy === undefined) return "static";
      return sweeper === undefined ? "expires" : "revoke";
    };
    return {
      options: optionsFor(region, as),
      gives: ({ policy }) => (policy === undefined ? "fields" : "aws-session"),
      ends,
      async mint(request) {
        request.signal.throwIfAborted();
        const asker = { ...parts(request.signal), proof: proves ? request.proof : undefined };
        // A job's own token can carry nothing of ours.
        return mint(asker, request, { isMarked: as !== "job", ending: ends(request.options) });
      },
      revocation:
        sweeper === undefined
          ? "none"
          : {
              revoke: (handle, { proof, signal }) =>
                endSession({ ...parts(signal), proof: proves ? proof : undefined }, handle, sweeper.role),
              recover: async ({ lease, latestExpiry }, { role }, { signal }) => {
                signal.throwIfAborted();
                const until = Math.max(latestExpiry, clock.now() + readingLife);
                return { kind: "found", ending: { kind: "revoke", handle: handleOf(role, lease, until), expiresAt: until } };
              },
            },
    };
  },
};

interface How {
  /** With the broker's own tags and a source identity. */
  readonly isMarked: boolean;
  readonly ending: "revoke" | "expires" | "static";
}

async function mint(asker: Asker, { intent, options: asked }: MintRequest<AwsOptions>, how: How): Promise<Minted> {
  const role = roleOf(asked.role);
  if (role === undefined) throw new BrokerError("provider-refused", "filled with its claims, the role is no role's ARN");
  const stored = storedOf(asked, role, asker.config.region);
  const marks = {
    tags: { ...asked.tags, [ownTags.template]: tagText(intent.template), [ownTags.workload]: tagText(intent.workload) },
    sourceIdentity: asked.source_identity ?? intent.lease,
  };
  const session = await assume(asker, {
    role,
    name: intent.lease,
    policy: stored?.policy ?? (asked.policy === undefined ? "" : textOf(asked.policy)),
    life: stored === undefined ? intent.ttl : readingLife,
    ...(how.isMarked ? marks : {}),
  });
  if (stored !== undefined)
    return { material: { kind: "fields", fields: await stored.read(asker, session) }, ending: { kind: "static" } };
  return given(session, role, intent.lease, how.ending);
}

function given(
  { accessKeyId, secretAccessKey, sessionToken, expiration }: Session,
  role: Role,
  lease: string,
  ending: How["ending"],
): Minted {
  const expiresAt = expiration.getTime();
  return {
    material: {
      kind: "aws-session",
      accessKeyId,
      secretAccessKey: Secret.of(secretAccessKey),
      sessionToken: Secret.of(sessionToken),
    },
    ending:
      ending === "revoke"
        ? { kind: "revoke", handle: handleOf(role.arn, lease, expiresAt), expiresAt }
        : { kind: "expires", at: expiresAt },
  };
}
