import { DeleteRolePolicyCommand, IAMClient, ListRolePoliciesCommand, PutRolePolicyCommand } from "@aws-sdk/client-iam";
import { z } from "zod";
import { BrokerError } from "../../src/errors.ts";
import type { Handle } from "../../src/lease/provider.ts";
import { type Instant, minute } from "../../src/time.ts";
import { type Role, roleOf } from "./options.ts";
import { type Asker, assume, type Session } from "./session.ts";
import { refusalOf, Wire } from "./wire.ts";

/** A deny is of no more use once its session has expired; clocks may differ by so much. */
const grace = 5 * minute;

const prefix = "mayfly-ended";

/** What a restarted broker needs to end a session: none of it is secret. */
export function handleOf(role: string, session: string, until: Instant): Handle {
  return { role, session, until: String(Math.ceil(until / 1_000)) };
}

const handle = z.object({
  role: z.string(),
  session: z.string().regex(/^[\w+=,.@-]{2,64}$/),
  until: z.string().regex(/^\d{1,12}$/),
});

/**
 * A session's keys cannot be taken back, but what they may do can: an explicit deny in an inline policy of the role, for this one session.
 * Each session has a policy of its own, for IAM has no conditional write and may answer with what was written a while ago: were they in one
 * document, two brokers could each undo the other's. IAM takes 10,240 characters of them a role, so those whose session has expired go.
 */
export async function endSession(asker: Asker, given: Handle, sweeper: string): Promise<void> {
  const { role: arn, session, until } = handle.parse(given);
  const role = roleOf(arn);
  if (role === undefined) throw new Error("the handle names no role");
  const iam = new Inline(asker, await takeOn(asker, role, sweeper), role);
  if (Number(until) * 1_000 + grace < asker.clock.now()) return iam.prune();
  const policy = { name: `${prefix}.${until}.${session}`, document: denyOf(session) };
  try {
    await iam.put(policy);
  } catch (error) {
    // A role that is gone took its sessions with it.
    if (refusalOf(error) === "NoSuchEntity") return;
    if (refusalOf(error) !== "LimitExceeded") throw error;
    await iam.prune();
    return iam.put(policy);
  }
  // Ended is ended; what is left over goes with the next one.
  await iam.prune().catch(() => undefined);
}

/** `aws:userid` of a role's session is the role's id, a colon, and the session's name; this policy is one role's own. */
export function denyOf(session: string): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Statement: [{ Effect: "Deny", Action: "*", Resource: "*", Condition: { StringLike: { "aws:userid": `*:${session}` } } }],
  });
}

/** The sweeper may do this to this one role, whatever else its own role allows. */
function takeOn(asker: Asker, role: Role, sweeper: string): Promise<Session> {
  const arn = `arn:${role.partition}:iam::${role.account}:role/${sweeper}`;
  const taken = roleOf(arn);
  if (taken === undefined) throw new BrokerError("internal", undefined, { detail: "the sweeper is no role" });
  const policy = {
    Version: "2012-10-17",
    Statement: [
      { Effect: "Allow", Action: ["iam:ListRolePolicies", "iam:PutRolePolicy", "iam:DeleteRolePolicy"], Resource: role.arn },
    ],
  };
  return assume(asker, { role: taken, name: "mayfly-sweeper", policy: JSON.stringify(policy), life: 15 * minute });
}

class Inline {
  readonly #asker: Asker;
  readonly #keys: Session;
  readonly #role: string;

  constructor(asker: Asker, keys: Session, { name }: Role) {
    this.#asker = asker;
    this.#keys = keys;
    this.#role = name;
  }

  async put({ name, document }: { readonly name: string; readonly document: string }): Promise<void> {
    const command = new PutRolePolicyCommand({ RoleName: this.#role, PolicyName: name, PolicyDocument: document });
    await this.#send((client) => client.send(command, { abortSignal: this.#asker.signal }));
  }

  async prune(): Promise<void> {
    const now = this.#asker.clock.now();
    for (const name of await this.#names()) if (isOver(name, now)) await this.#delete(name);
  }

  async #names(): Promise<readonly string[]> {
    const command = (from: string | undefined): ListRolePoliciesCommand =>
      new ListRolePoliciesCommand({ RoleName: this.#role, MaxItems: 1_000, ...(from === undefined ? {} : { Marker: from }) });
    const names: string[] = [];
    for (let from: string | undefined, more = true; more; ) {
      const page = await this.#send((client) => client.send(command(from), { abortSignal: this.#asker.signal }));
      names.push(...(page.PolicyNames ?? []));
      from = page.Marker;
      more = page.IsTruncated === true && from !== undefined;
    }
    return names;
  }

  /** Another broker may have been quicker. */
  async #delete(name: string): Promise<void> {
    const command = new DeleteRolePolicyCommand({ RoleName: this.#role, PolicyName: name });
    await this.#send((client) => client.send(command, { abortSignal: this.#asker.signal })).catch((error: unknown) => {
      if (refusalOf(error) !== "NoSuchEntity") throw error;
    });
  }

  #send<T>(work: (client: IAMClient) => Promise<T>): Promise<T> {
    const wire = new Wire(this.#asker, "iam");
    wire.hides(this.#keys.secretAccessKey, this.#keys.sessionToken);
    const client = new IAMClient({ ...wire.client, credentials: this.#keys });
    return wire.call(() => work(client));
  }
}

/** Ours alone: whoever else writes inline policies into the role is none of our business. */
function isOver(name: string, now: Instant): boolean {
  const until = new RegExp(`^${prefix}\\.(\\d{1,12})\\.`).exec(name)?.[1];
  return until !== undefined && Number(until) * 1_000 + grace < now;
}
