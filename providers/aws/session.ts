import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Proof } from "../../src/lease/provider.ts";
import { type Duration, hour, type Instant, minute, within } from "../../src/time.ts";
import type { Role } from "./options.ts";
import { tooMuch } from "./policy.ts";
import { type Parts, Wire } from "./wire.ts";

/** AWS STS, AssumeRole, `DurationSeconds`. */
const shortest: Duration = 15 * minute;
const longest: Duration = 12 * hour;

/** AWS's clock may be this far ahead of ours before a life counts as longer than asked; the core allows the same. */
const skew: Duration = 5_000;

/** AssumeRoleWithWebIdentity, `WebIdentityToken`. */
const longestToken = 20_000;

export interface Wanted {
  readonly role: Role;
  /** Unique for each lease: CloudTrail and `aws:userid` know the session by it. */
  readonly name: string;
  /** Always sent: without one a session has all that the role may. */
  readonly policy: string;
  readonly life: Duration;
  readonly tags?: Readonly<Record<string, string>>;
  readonly sourceIdentity?: string;
}

/** Who asks: with a proof, or as the host itself. */
export interface Asker extends Parts {
  /** Undefined: the SDK's own default chain. */
  readonly proof: Proof | undefined;
}

/** Keys as the SDK's clients take them, and when they end. */
export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

const answered = z.object({
  Credentials: z.object({
    AccessKeyId: z.string().min(16).max(128),
    SecretAccessKey: z.string().min(1),
    SessionToken: z.string().min(1),
    Expiration: z.date(),
  }),
  AssumedRoleUser: z.object({ Arn: z.string() }).optional(),
  SourceIdentity: z.string().optional(),
});

/** Takes on a role. Every limit of AWS's is checked before anybody is asked, and the answer afterwards. */
export async function assume(asker: Asker, wanted: Wanted): Promise<Session> {
  checkLimits(wanted);
  const answer = answered.safeParse(
    await (asker.proof === undefined ? asHost(asker, wanted) : withProof(asker, asker.proof, wanted)),
  );
  // zod's own error would name what it read.
  if (!answer.success) throw new Error("the answer is not one of AWS STS's");
  checkAnswer(answer.data, wanted, asker.clock.now());
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer.data.Credentials;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken, expiration: Expiration };
}

/** AWS STS, `Tag`: what is not of these characters is refused, never changed into something that could be another's. */
const tagValue = /^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$/u;

function checkLimits({ name, policy, life, tags = {}, sourceIdentity }: Wanted): void {
  const why = tooMuch(policy);
  if (why !== undefined) throw refused(why, "shorten the template's policy: slots count with what fills them");
  if (life < shortest || life > longest)
    throw refused(
      `aws gives sessions of 15m to 12h, not of ${Math.round(life / 1_000)}s`,
      "set the credential's ttl, and keep the run's timeout within it",
    );
  for (const text of [name, sourceIdentity ?? name])
    if (!/^[\w+=,.@-]{2,64}$/.test(text))
      throw refused("aws takes 2 to 64 characters of a-z, A-Z, 0-9 and _+=,.@- as a session's name");
  const unfit = Object.entries(tags).find(([, value]) => !tagValue.test(value));
  if (unfit !== undefined)
    throw refused(`aws takes at most 256 letters, digits and _.:/=+-@ as a session tag, which ${unfit[0]} is not`);
}

async function withProof(asker: Asker, proof: Proof, { tags, sourceIdentity, ...wanted }: Wanted): Promise<unknown> {
  const token = await proof.token(asker.config.audience, claimsOf(tags, sourceIdentity));
  const jwt = token.use((bytes) => bytes.toString("utf8"));
  if (jwt.length > longestToken) throw refused(`the proof has ${jwt.length} characters, and AWS takes at most ${longestToken}`);
  const wire = new Wire(asker, "sts");
  wire.hides(jwt);
  // Not signed: what counts is the token, and nothing of the host's is looked for.
  const client = new STSClient({ ...wire.client, credentials: nobody });
  return wire.call(() =>
    client.send(new AssumeRoleWithWebIdentityCommand({ ...common(wanted), WebIdentityToken: jwt }), {
      abortSignal: asker.signal,
    }),
  );
}

const nobody = { accessKeyId: "", secretAccessKey: "" };

/** This call takes neither tags nor a source identity of its own: AWS reads them from the token (IAM, "Passing session tags"). */
function claimsOf(tags: Wanted["tags"], sourceIdentity: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (tags === undefined && sourceIdentity === undefined) return undefined;
  const principal = Object.fromEntries(Object.entries(tags ?? {}).map(([key, value]) => [key, [value]]));
  return {
    ...(tags === undefined ? {} : { "https://aws.amazon.com/tags": { principal_tags: principal, transitive_tag_keys: [] } }),
    ...(sourceIdentity === undefined ? {} : { "https://aws.amazon.com/source_identity": sourceIdentity }),
  };
}

async function asHost(asker: Asker, { tags, sourceIdentity, ...wanted }: Wanted): Promise<unknown> {
  const wire = new Wire(asker, "sts");
  const client = new STSClient(wire.client);
  const own = await hostKeys(asker, () => client.config.credentials());
  wire.hides(own.secretAccessKey, own.sessionToken);
  if (own.sessionToken !== undefined && wanted.life > hour)
    throw refused(
      "a role that a role takes on lives at most an hour",
      "set the template's ttl to at most 1h, or give the host a key of its own",
    );
  const command = new AssumeRoleCommand({
    ...common(wanted),
    ...(tags === undefined ? {} : { Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) }),
    ...(sourceIdentity === undefined ? {} : { SourceIdentity: sourceIdentity }),
  });
  return wire.call(() => client.send(command, { abortSignal: asker.signal }));
}

interface Keys {
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** The SDK's chain: environment, shared files, web identity, container, instance. Nobody was asked for a session yet. */
async function hostKeys({ clock, config, signal }: Parts, chain: () => Promise<Keys>): Promise<Keys> {
  const none = (why: string): never => {
    throw new BrokerError("provider-unavailable", "this host has no AWS identity", {
      detail: `the SDK's default chain: ${why}`,
      hint: "give the broker's user an instance role, or AWS_SHARED_CREDENTIALS_FILE in its environment",
    });
  };
  const keys = await within(
    clock,
    config.timeout,
    chain().catch(() => none("it found no credentials")),
    () => none("it found none in time"),
  );
  signal.throwIfAborted();
  return keys;
}

function common({ role, name, policy, life }: Wanted) {
  return { RoleArn: role.arn, RoleSessionName: name, Policy: policy, DurationSeconds: Math.floor(life / 1_000) };
}

/** For somebody else, longer, or over already: none of it was asked for. What came into being is for the sweeper to end. */
function checkAnswer(
  { AssumedRoleUser, Credentials: { Expiration }, SourceIdentity }: z.output<typeof answered>,
  { role, name, life, sourceIdentity }: Wanted,
  now: Instant,
): void {
  const session = `arn:${role.partition}:sts::${role.account}:assumed-role/${role.name}/${name}`;
  if (AssumedRoleUser !== undefined && AssumedRoleUser.Arn !== session)
    throw broken("aws gave another session than was asked for");
  if (SourceIdentity !== undefined && sourceIdentity !== undefined && SourceIdentity !== sourceIdentity)
    throw broken("aws gave a session of another source identity");
  const ends = Expiration.getTime();
  if (!(ends <= now + life + skew))
    throw broken(
      "aws's session lives longer than was asked",
      "if it is by seconds, compare this host's clock with a time server's",
    );
  if (!(ends > now)) throw broken("aws's session is over already", "compare this host's clock with a time server's");
}

function broken(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-broken-promise", message, hint === undefined ? {} : { hint });
}

function refused(message: string, hint?: string): BrokerError {
  return new BrokerError("provider-refused", message, hint === undefined ? {} : { hint });
}
